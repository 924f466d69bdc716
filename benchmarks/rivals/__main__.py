"""`python -m benchmarks.rivals NAME TASK.json`: one search, in this process."""

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.rivals.task import Task

if __name__ == "__main__":
    import_module(f"benchmarks.rivals.{sys.argv[1]}").search(Task.load(Path(sys.argv[2])))
