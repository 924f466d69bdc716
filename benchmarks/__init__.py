"""How fast the code is: what `make bench` runs, a module for each question."""
