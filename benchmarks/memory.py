"""`python -m benchmarks.memory`: what a further trial at the same time adds to a search's memory.

Each number of trials runs in a search of its own, with this project's engine: trials of the baseline's sizes, which
differ in their learning rate, all at once. Memory is Linux's account of the workers: what is theirs alone (USS), and
their shares of the prepared features (PSS), which add up to what the machine holds of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from benchmarks.data import EASY_VQA, open_data
from benchmarks.output import add_output_options, hand_over
from benchmarks.rivals.here import workers
from san_core.command_line import run_command
from san_core.config import TrainingConfig
from san_core.data.prepared import FEATURES, PreparedData
from search_spaces import load

MIB = 2**20


@dataclass(frozen=True)
class Held:
    """Memory of trials that run at once, in bytes.

    Attributes:
        private: of all their workers (USS), when it was most.
        features: their shares of the prepared features (PSS), when they were most.
    """

    private: int
    features: int


class Watch(threading.Thread):
    """Looks at the workers under this process until told to stop."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        self.most = Held(0, 0)
        self._file = str(file)
        self._over = threading.Event()

    def run(self) -> None:
        """Looks twice a second."""
        while not self._over.wait(0.5):
            now = [held(worker, self._file) for worker in workers()]
            self.most = Held(
                max(self.most.private, sum(each.private for each in now)),
                max(self.most.features, sum(each.features for each in now)),
            )

    def stop(self) -> Held:
        """The most that was seen."""
        self._over.set()
        self.join()
        return self.most


def held(process: psutil.Process, file: str) -> Held:
    """Memory of a process, and its share of a file it maps; nothing if it has ended."""
    try:
        maps = [mapped.pss for mapped in process.memory_maps() if mapped.path == file]
        return Held(process.memory_full_info().uss, sum(maps))
    except psutil.Error:
        return Held(0, 0)


def run_trials_at_once(data: PreparedData, trials: int, epochs: int, folder: Path) -> Held:
    """The most that so many trials hold while they run at once."""
    # Not before: it sets Ray's options.
    from results.run_folder import RunFolder
    from tuning.execution.ray_session import Limits, ray_session, run_trials
    from tuning.execution.worker import Shared
    from tuning.study.open_study import open_search
    from tuning.study.stop_rules import StopRules

    space = load("san")
    config = TrainingConfig.from_dict({**data.training_defaults, **space.baseline, "epochs": epochs})
    searched = space.only({"learning_rate"})
    fixed = {name: value for name, value in config.to_dict().items() if name not in {*searched.parameters, "seed"}}
    run = RunFolder.create(folder / "run", {"seed": 0, "sampler": "random", "pruner": "none", "fixed": fixed}, {})
    study = open_search(run, searched, StopRules(trials=trials))
    shared = Shared(str(data.folder), data.metrics[0], fixed, cpus=1, gpus=0.0, signs=False)
    watch = Watch(data.folder / FEATURES)
    watch.start()
    with ray_session(run.log, cpus=trials):
        run_trials(study, shared, Limits(slots=trials), run)
    return watch.stop()


def measured(folder: Path, trials: int, epochs: int) -> Held:
    """`run_trials_at_once` in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        own = ["--data", str(folder), "--trials", str(trials), "--epochs", str(epochs), "--folder", place]
        subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", *own], check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr
        )
        return Held(**json.loads((Path(place) / "held.json").read_text()))


def rows_of(found: dict[int, Held], file: int) -> list[dict[str, Any]]:
    """A row for each number of trials, in MiB; a further trial's share counts from the row before.

    Args:
        found: by number of trials, ascending.
        file: size of the features' file, in bytes.
    """
    rows: list[dict[str, Any]] = []
    before, less = 0, 0
    for trials, each in found.items():
        rows.append(
            {
                "trials": trials,
                "private MiB": each.private / MIB,
                "a further trial adds MiB": (each.private - less) / (trials - before) / MIB,
                "features MiB": each.features / MIB,
                "features file MiB": file / MIB,
            }
        )
        before, less = trials, each.private
    return rows


def _table(name: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title=f"Memory of trials at once on {name}")
    for row in rows:
        table.add_row(*(f"{value:,.0f}" for value in row.values()))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures private memory of trials that run at once, and how much of the prepared features they share."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=main.__doc__)
    add = parser.add_argument
    add("--data", type=Path, default=EASY_VQA, help="prepared data (default: %(default)s, made if missing)")
    add("--trials", type=int, nargs="+", default=[1, 2, 4], help="at once (default: 1 2 4)")
    add("--epochs", type=int, default=2, help="of each trial (default: 2)")
    add("--folder", type=Path, help=argparse.SUPPRESS)
    add_output_options(parser)
    options = parser.parse_args(arguments)
    if options.folder:
        data = PreparedData.open(options.data)
        found = run_trials_at_once(data, options.trials[0], options.epochs, options.folder)
        (options.folder / "held.json").write_text(json.dumps(asdict(found)))
        return 0
    open_data(options.data)
    file = (options.data / FEATURES).stat().st_size
    by_trials = {trials: measured(options.data, trials, options.epochs) for trials in sorted(options.trials)}
    rows = rows_of(by_trials, file)
    hand_over(options, rows, [_table(options.data.name, rows)])
    return 0


if __name__ == "__main__":
    run_command(main)
