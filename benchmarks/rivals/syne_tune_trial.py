"""The script that Syne Tune starts for each trial."""

import argparse
from pathlib import Path

from search_spaces import load


def main() -> None:
    """Trains with the parameters given as options."""
    from syne_tune import Reporter

    from benchmarks.rivals.plain_training import epochs
    from benchmarks.rivals.task import Task

    parser = argparse.ArgumentParser()
    parser.add_argument("--task", type=Path)
    parser.add_argument("--st_checkpoint_dir", type=Path)  # TRIAL/checkpoints
    options, _ = parser.parse_known_args()
    task = Task.load(options.task)
    for name, value in load(task.space).baseline.items():
        parser.add_argument(f"--{name}", type=type(value))
    params = {name: getattr(parser.parse_args(), name) for name in task.searched.baseline}
    report = Reporter()
    for epoch, score in epochs(task, options.st_checkpoint_dir.parent.name, params):
        report(epoch=epoch, score=score)


if __name__ == "__main__":
    main()
