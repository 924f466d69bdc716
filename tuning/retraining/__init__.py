"""Retrains configurations of a search, tests them once, and writes their model folders."""
