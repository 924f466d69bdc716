"""`python -m benchmarks.null_trials`: what a trial costs besides training, here and with stock Ray Tune.

A null trial reports three times and trains nothing. Every measurement runs in a process of its own, so that the engines
do not share settings or memory. The engines take turns.
"""

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.samplers import RandomSampler
from ray import tune
from rich.console import Console
from rich.table import Table

from benchmarks.output import add_output_options, output_results
from san_core.command_line import path, run_command
from search_spaces import load
from tuning.monitoring.trackers import PACKAGES
from tuning.study.live_trial import Epoch
from tuning.study.stop_rules import StopRules
from tuning.study.tune_interface import EPOCHS, only_trial

REPORTS, SLOTS = 3, 2
"""Reports of a trial, and trials at once."""

WARM_UP_TRIALS = 10
"""First trials, which are not measured: after them every worker has started."""

WARM_UP_SECONDS = 6
"""Seconds that the first trial of each slot takes, so that no worker does all trials before the next has started."""

NEIGHBOURS = 50
"""Trials before and after one, over which its cost is averaged."""


@dataclass(frozen=True)
class Measurement:
    """Time and memory that null trials took.

    Attributes:
        ends: time at which each trial ended, in seconds after the end of the first trial, ascending.
        journal: size of the journal, in bytes.
        memory: peak memory of the search process, in MiB.
    """

    ends: list[float]
    journal: int
    memory: int

    @property
    def cost(self) -> float:
        """Wall time per trial once the workers are warm, in ms."""
        return 1000 * (self.ends[-1] - self.ends[WARM_UP_TRIALS]) / (len(self.ends) - 1 - WARM_UP_TRIALS)

    def cost_near(self, number: int) -> float:
        """Wall time per trial around the trial of a number, in ms."""
        first, last = max(0, number - NEIGHBOURS), min(len(self.ends) - 1, number + NEIGHBOURS)
        return 1000 * (self.ends[last] - self.ends[first]) / (last - first)


class NullWorker(tune.Trainable):
    """A worker that reports and trains nothing."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """One core."""
        del config
        return tune.PlacementGroupFactory([{"CPU": 1}])

    def setup(self, config: dict[str, Any]) -> None:
        """Prepares for the first trial."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares for the next trial."""
        self._epoch, self._number = 0, only_trial(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One report. All trials have the same scores, so that every pruner is asked and lets them go on."""
        self._epoch += 1
        if self._number < SLOTS and self._epoch == 1:
            time.sleep(WARM_UP_SECONDS)
        return {EPOCHS: [(self._number, Epoch(self._epoch, self._epoch / 10, 0.0, worker="null"))]}


def null_function(config: dict[str, Any]) -> None:
    """A null trial for stock Tune."""
    del config
    for epoch in range(1, REPORTS + 1):
        tune.report({"score": epoch / 10})


def run_here(folder: Path, trials: int, sampler: str, pruner: str = "halving", track: str | None = None) -> Measurement:
    """Runs null trials as a search runs trials: with journal, pruner and progress."""
    # Imported here because it sets environment variables that Ray reads, and stock Tune is to run with its defaults.
    from results.run_folder import RunFolder
    from tuning.execution.placement import Placement
    from tuning.execution.ray_session import ray_session
    from tuning.execution.run_trials import Callbacks, run_trials
    from tuning.execution.trial_setup import Limits, TrialSetup
    from tuning.monitoring.progress import show_progress
    from tuning.monitoring.trackers.tracker import tracked
    from tuning.study.open_study import open_search

    settings = {"seed": 0, "sampler": sampler, "pruner": pruner, "fixed": {"epochs": REPORTS}, "track": track}
    settings |= {"metric": "accuracy", "started": "now"}
    run = RunFolder.create(folder / "run", settings, {})
    study = open_search(run, load("san"), StopRules(trials=trials))
    setup = TrialSetup("", "accuracy", fixed={}, placement=Placement(1, 0.0, SLOTS), show_in_dashboard=False)
    with (
        ray_session(run.log, cpus=SLOTS),
        show_progress(study, "null trials", Console(file=io.StringIO())),
        tracked(study, run) as trackers,
    ):
        run_trials(study, setup, Limits(), run, worker=NullWorker, callbacks=Callbacks(trackers))
    return _measurement(study.optuna_study, run.journal.stat().st_size)


def run_stock(folder: Path, trials: int, sampler: str, pruner: str = "halving") -> Measurement:
    """Runs null trials with stock Ray Tune: a function, `OptunaSearch`, ASHA."""
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    del sampler, pruner  # always random, always ASHA
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ray.init(address="local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)
    search = OptunaSearch(
        dict(load("san").parameters), metric="score", mode="max", sampler=RandomSampler(seed=0)
    )  # the seed of `OptunaSearch` would not reach the sampler
    tuner = tune.Tuner(
        null_function,
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=ASHAScheduler(metric="score", mode="max", max_t=REPORTS, grace_period=1, reduction_factor=2),
            num_samples=trials,
            max_concurrent_trials=SLOTS,
        ),
        run_config=tune.RunConfig(name="stock", storage_path=str(folder), verbose=0),
    )
    tuner.fit()
    return _measurement(search._ot_study, 0)  # type: ignore[arg-type]  # Tune has given it one by now


ENGINES: dict[str, Callable[..., Measurement]] = {
    "here": run_here,
    "stock": run_stock,
    **{name: partial(run_here, track=name) for name in PACKAGES},
}


def _measurement(study: optuna.Study, journal: int) -> Measurement:
    ended = sorted(trial.datetime_complete or datetime.max for trial in study.get_trials(deepcopy=False))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Measurement([(end - ended[0]).total_seconds() for end in ended], journal, memory)


def measured(engine: str, trials: int, sampler: str = "random", pruner: str = "halving") -> Measurement:
    """Runs null trials with one program, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        arguments = ["--engine", engine, "--trials", str(trials), "--sampler", sampler]
        subprocess.run(
            [sys.executable, "-m", "benchmarks.null_trials", *arguments, "--pruner", pruner, "--folder", folder],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return Measurement(**json.loads(result.read_text()))


def compared(trials: int, rounds: int, other: str = "stock") -> dict[str, float]:
    """Median ms per trial of this project and of another program, which run alternately, and their ratio."""
    costs: dict[str, list[float]] = {"here": [], other: []}
    for _ in range(rounds):
        for engine, found in costs.items():
            found.append(measured(engine, trials // rounds).cost)
    here, there = (statistics.median(found) for found in costs.values())
    return {"here": here, other: there, "ratio": there / here}


def grown(trials: int, pruner: str) -> dict[str, float]:
    """The cost of a trial near the 100th and near the last of a long search."""
    found = measured("here", trials, pruner=pruner)
    early, late = found.cost_near(100), found.cost_near(trials - 1 - NEIGHBOURS)
    return {
        "trials": trials,
        "near the 100th": early,
        "near the last": late,
        "ratio": late / early,
        "journal MiB": found.journal / 2**20,
        "memory MiB": found.memory,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what a trial costs besides training, in ms of wall time, with two trials at a time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.null_trials", description=main.__doc__)
    parser.add_argument("--trials", type=int, default=200, help="of each engine (default: 200)")
    parser.add_argument("--rounds", type=int, default=2, help="in which the engines take turns (default: 2)")
    parser.add_argument("--samplers", nargs="*", default=[], help="measure this engine with these, not stock Tune")
    parser.add_argument("--track", choices=PACKAGES, help="compare with this engine and a tracker, not stock Tune")
    parser.add_argument("--growth", nargs="*", type=int, default=[], help="measure searches of so many trials instead")
    parser.add_argument("--pruner", default="halving", help="of this engine, where it grows (default: halving)")
    add_output_options(parser)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--sampler", default="random", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.engine:
        found = ENGINES[options.engine](options.folder, options.trials, options.sampler, options.pruner)
        (options.folder / "result.json").write_text(json.dumps(asdict(found)))
        return 0
    results: list[dict[str, Any]] = [grown(trials, options.pruner) for trials in options.growth]
    results += [
        {"sampler": name, "here": measured("here", options.trials, name).cost, "trials": options.trials}
        for name in options.samplers
    ]
    if not results:
        results = [compared(options.trials, options.rounds, options.track or "stock")]
    output_results(options, results, [_table(result) for result in results])
    return 0


def _table(result: dict[str, Any]) -> Table:
    table = Table(*result, title="Null trials, ms of wall time each")
    table.add_row(*(f"{value:,.1f}" if isinstance(value, float) else str(value) for value in result.values()))
    return table


if __name__ == "__main__":
    run_command(main)
