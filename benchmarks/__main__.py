"""`python -m benchmarks`: the benchmarks of a machine without a GPU that take minutes, one after the other."""

from benchmarks import null_trials, step

if __name__ == "__main__":
    step.main([])
    null_trials.main([])
