"""Benchmarks of speed and reliability, a module for each question. `make bench` runs those that need no GPU."""
