"""Finds image files, and reads them as upright RGB pixels."""
