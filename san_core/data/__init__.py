"""Data sets: one reader each, all prepared into one on-disk form."""
