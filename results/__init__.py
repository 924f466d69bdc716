"""What a search found: its run folder, and the tables, plots and reports made from it."""
