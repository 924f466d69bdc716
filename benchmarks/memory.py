"""`python -m benchmarks.memory`: how much memory one more concurrent trial adds to a search.

For each number of trials a search of its own runs: trials with the baseline's sizes and different learning rates, all
at once. Linux says how much memory the workers have to themselves (USS), and their shares of the prepared features
(PSS), whose sum is what the machine holds of the features.
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
from benchmarks.output import add_output_options, output_results
from benchmarks.rivals.here import workers
from san_core.command_line import path, run_command
from san_core.config import TrainingConfig
from san_core.data.prepared import FEATURES, PreparedData
from search_spaces import load

MIB = 2**20


@dataclass(frozen=True)
class MemoryUse:
    """Memory of the workers of concurrent trials, in bytes.

    Attributes:
        private: memory that belongs to one worker alone (USS), of all workers.
        features: shares of the prepared features (PSS), of all workers.
    """

    private: int
    features: int


class MemoryMonitor(threading.Thread):
    """Measures the workers under this process, twice a second, until it is stopped."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        self.peak = MemoryUse(0, 0)
        self._file = str(file)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Measures until `stop` is called."""
        while not self._stopped.wait(0.5):
            now = [memory_of(worker, self._file) for worker in workers()]
            self.peak = MemoryUse(
                max(self.peak.private, sum(each.private for each in now)),
                max(self.peak.features, sum(each.features for each in now)),
            )

    def stop(self) -> MemoryUse:
        """Stops measuring; returns the highest values."""
        self._stopped.set()
        self.join()
        return self.peak


def memory_of(process: psutil.Process, file: str) -> MemoryUse:
    """Private memory of a process, and its share of a file that it maps; 0 if the process has ended."""
    try:
        maps = [mapped.pss for mapped in process.memory_maps() if mapped.path == file]
        return MemoryUse(process.memory_full_info().uss, sum(maps))
    except psutil.Error:
        return MemoryUse(0, 0)


def run_trials_at_once(data: PreparedData, trials: int, epochs: int, folder: Path) -> MemoryUse:
    """Peak memory of so many trials that run at once."""
    # Imported here because it sets environment variables that Ray reads.
    from results.run_folder import RunFolder
    from tuning.execution.placement import Placement
    from tuning.execution.ray_session import ray_session
    from tuning.execution.run_trials import run_trials
    from tuning.execution.trial_setup import Limits, TrialSetup
    from tuning.study.open_study import open_search
    from tuning.study.stop_rules import StopRules

    space = load("san")
    config = TrainingConfig.from_dict({**data.training_defaults, **space.baseline, "epochs": epochs})
    searched = space.only({"learning_rate"})
    fixed = {name: value for name, value in config.to_dict().items() if name not in {*searched.parameters, "seed"}}
    run = RunFolder.create(folder / "run", {"seed": 0, "sampler": "random", "pruner": "none", "fixed": fixed}, {})
    study = open_search(run, searched, StopRules(trials=trials))
    setup = TrialSetup(str(data.folder), data.metrics[0], fixed, Placement(1, 0.0, trials), show_in_dashboard=False)
    monitor = MemoryMonitor(data.folder / FEATURES)
    monitor.start()
    with ray_session(run.log, cpus=trials):
        run_trials(study, setup, Limits(), run)
    return monitor.stop()


def measured(folder: Path, trials: int, epochs: int) -> MemoryUse:
    """`run_trials_at_once` in a process of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        own = ["--data", str(folder), "--trials", str(trials), "--epochs", str(epochs), "--folder", temporary]
        subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", *own], check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr
        )
        return MemoryUse(**json.loads((Path(temporary) / "memory.json").read_text()))


def rows_of(found: dict[int, MemoryUse], file: int) -> list[dict[str, Any]]:
    """A row for each number of trials, in MiB; what one more trial adds is counted from the row before.

    Args:
        found: memory by number of trials, ascending.
        file: size of the file of features, in bytes.
    """
    rows: list[dict[str, Any]] = []
    trials_before, private_before = 0, 0
    for trials, each in found.items():
        rows.append(
            {
                "trials": trials,
                "private MiB": each.private / MIB,
                "a further trial adds MiB": (each.private - private_before) / (trials - trials_before) / MIB,
                "features MiB": each.features / MIB,
                "features file MiB": file / MIB,
            }
        )
        trials_before, private_before = trials, each.private
    return rows


def _table(name: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title=f"Memory of trials at once on {name}")
    for row in rows:
        table.add_row(*(f"{value:,.0f}" for value in row.values()))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures the private memory of concurrent trials, and how much of the prepared features they share."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=main.__doc__)
    add = parser.add_argument
    add("--data", type=path, default=EASY_VQA, help="prepared data (default: %(default)s, made if missing)")
    add("--trials", type=int, nargs="+", default=[1, 2, 4], help="at once (default: 1 2 4)")
    add("--epochs", type=int, default=2, help="of each trial (default: 2)")
    add("--folder", type=path, help=argparse.SUPPRESS)
    add_output_options(parser)
    options = parser.parse_args(arguments)
    if options.folder:
        data = PreparedData.open(options.data)
        found = run_trials_at_once(data, options.trials[0], options.epochs, options.folder)
        (options.folder / "memory.json").write_text(json.dumps(asdict(found)))
        return 0
    open_data(options.data)
    file = (options.data / FEATURES).stat().st_size
    by_trials = {trials: measured(options.data, trials, options.epochs) for trials in sorted(options.trials)}
    rows = rows_of(by_trials, file)
    output_results(options, rows, [_table(options.data.name, rows)])
    return 0


if __name__ == "__main__":
    run_command(main)
