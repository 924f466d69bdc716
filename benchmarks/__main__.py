"""`python -m benchmarks`: the benchmarks of a machine without a GPU that take minutes, one after the other.

Each prints its table and writes its figures to a file in `benchmarks-out/`. Together they take less than half an hour
on two cores that do nothing else.
"""

import shutil
from pathlib import Path

from benchmarks import memory, null_trials, preparation, searches, step
from benchmarks.simulation import __main__ as simulation
from san_core.command_line import run_command

OUT = Path("benchmarks-out")
LOGS = OUT / "short-searches"


def main() -> int:
    """Runs all of them."""
    shutil.rmtree(LOGS, ignore_errors=True)  # an earlier call's searches are not this one's
    step.main(["--save", str(OUT / "step.json")])
    null_trials.main(["--trials", "120", "--save", str(OUT / "null_trials.json")])
    memory.main(["--save", str(OUT / "memory.json")])
    preparation.main(["--sizes", "64", "448", "--save", str(OUT / "preparation.json")])
    small = ["--trials", "1000", "--gpus", "1", "8", "64", "--growth", "1000", "--samplers", "random"]
    simulation.main([*small, "--save", str(OUT / "simulation.json")])
    short = ["--seeds", "1", "--seconds", "120", "--logs", str(LOGS)]
    return searches.main([*short, "--save", str(OUT / "searches.json")])


if __name__ == "__main__":
    run_command(main)
