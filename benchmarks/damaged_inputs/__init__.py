"""Gives the commands random and damaged inputs, and counts what goes wrong."""
