"""Stock Ray Tune: a function, `OptunaSearch`, ASHA."""

from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.rivals.plain_training import epochs
from benchmarks.rivals.task import FACTOR, Task


def train(config: dict[str, Any], task: Task) -> None:
    """A trial."""
    for _, score in epochs(task, tune.get_context().get_trial_id(), config):
        tune.report({"score": score})


def search(task: Task) -> None:
    """Runs the search."""
    ray.init(address="local", num_cpus=task.slots)
    space = task.searched
    searcher = OptunaSearch(
        dict(space.parameters),
        metric="score",
        mode="max",
        points_to_evaluate=[dict(space.baseline)],
        seed=task.seed,
    )
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, task=task), {"cpu": 1, "gpu": task.gpus}),
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            search_alg=searcher,
            scheduler=ASHAScheduler(max_t=task.epochs, grace_period=1, reduction_factor=FACTOR),
            num_samples=task.trials,
            max_concurrent_trials=task.slots,
        ),
        run_config=tune.RunConfig(name="search", storage_path=task.folder, verbose=0),
    )
    tuner.fit()
