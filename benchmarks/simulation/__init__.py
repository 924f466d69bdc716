"""Simulated searches: the real study and its cohorts, with GPUs that only take time.

`python -m benchmarks.simulation` shows how the time of a search, the share of device time that is wasted and the cost
of the driver grow with the number of GPUs, the width of the cohorts and the number of trials.
"""
