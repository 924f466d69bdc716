"""Searches of null trials on a simulated cluster, with this project and with stock Ray Tune."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import psutil
import ray
from optuna.samplers import RandomSampler
from ray import tune
from rich.console import Console

from benchmarks.growth import simulated_cluster as cluster
from benchmarks.null_trials import REPORTS
from san_core.config import TrainingConfig
from search_spaces import load
from tuning.study.live_trial import Epoch
from tuning.study.tune_interface import EPOCHS, only_trial

EACH = 50
"""The costs so far are noted after each so many trials."""


class Costs(tune.Callback):
    """Notes what a search has cost so far, in a file, so that one that is stopped has its costs until then.

    Args:
        path: of the file: a JSON list in each line, of trials ended, CPU seconds of this process without those of
            workers, wall seconds, and MiB of memory.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._ended, self._process = path, 0, psutil.Process()

    def setup(self, *arguments: object, **named: object) -> None:
        """Notes the start."""
        del arguments, named
        self._note()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: object, **info: object) -> None:
        """Counts a trial."""
        del iteration, trials, trial, info
        self._ended += 1
        if self._ended % EACH == 0:
            self._note()

    def _note(self) -> None:
        used = time.process_time() - cluster.worker_seconds
        memory = self._process.memory_info().rss / 2**20
        with self._path.open("a") as file:
            file.write(json.dumps([self._ended, used, time.monotonic(), memory]) + "\n")

    def __getstate__(self) -> dict[str, Any]:
        """Nothing is kept in Tune's snapshots."""
        return {}


class _NullTrial(tune.Trainable):
    """A trial that reports three times and trains nothing; all have the same scores."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._epoch, self._config = 0, new_config
        return True


class _Worker(_NullTrial):
    """One that reports as this project's workers do."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        del config
        return tune.PlacementGroupFactory([{"CPU": 1}])

    def step(self) -> dict[str, Any]:
        self._epoch += 1
        return {EPOCHS: [(only_trial(self._config), Epoch(self._epoch, self._epoch / 10, 0.0, worker="null"))]}


class _StockWorker(_NullTrial):
    """One that reports as stock Tune wants it."""

    def step(self) -> dict[str, Any]:
        self._epoch += 1
        return {"score": self._epoch / 10, "done": self._epoch == REPORTS}


def run_here(folder: Path, data: Path, trials: int, nodes: int, sampler: str) -> None:
    """A search of this project: journal, pruner, progress, and the watch over the nodes of a cluster."""
    # Imported here because it sets environment variables that Ray reads, and stock Tune is to run with its defaults.
    from results.run_folder import RunFolder
    from tuning.execution.placement import Placement
    from tuning.execution.ray_session import ray_session
    from tuning.execution.run_trials import Callbacks, run_trials
    from tuning.execution.trial_setup import Limits, TrialSetup
    from tuning.monitoring.progress import show_progress
    from tuning.study.open_study import open_search
    from tuning.study.stop_rules import StopRules

    settings = {"seed": 0, "sampler": sampler, "pruner": "halving", "fixed": {"epochs": REPORTS}}
    run = RunFolder.create(folder / "run", settings | {"metric": "accuracy", "started": "now"}, {})
    study = open_search(run, load("san"), StopRules(trials=trials))
    fixed = TrainingConfig().to_dict()
    setup = TrialSetup(str(data), "accuracy", fixed=fixed, placement=Placement(1, 0.0, nodes), show_in_dashboard=False)
    with (
        ray_session(run.log, cpus=1),
        cluster.simulated_cluster(nodes),
        show_progress(study, "null trials", Console(file=io.StringIO())),
    ):
        run_trials(study, setup, Limits(), run, worker=_Worker, callbacks=Callbacks([Costs(folder / "costs")]))


def run_stock(folder: Path, data: Path, trials: int, nodes: int, sampler: str) -> None:
    """A search of stock Ray Tune: a class whose workers are used again, `OptunaSearch`, ASHA."""
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    del data
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    search = OptunaSearch(
        dict(load("san").parameters),
        metric="score",
        mode="max",
        sampler=RandomSampler(seed=0) if sampler == "random" else None,
    )
    with cluster.simulated_cluster(nodes):
        tune.Tuner(
            _StockWorker,
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=ASHAScheduler(metric="score", mode="max", max_t=REPORTS, grace_period=1, reduction_factor=2),
                num_samples=trials,
                max_concurrent_trials=nodes,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="stock",
                storage_path=str(folder),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
                callbacks=[Costs(folder / "costs")],
            ),
        ).fit()


ENGINES: dict[str, Callable[[Path, Path, int, int, str], None]] = {"here": run_here, "stock": run_stock}
