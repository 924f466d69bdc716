"""Syne Tune's local backend: a process for each trial, BOHB (ASHA; a density estimator chooses, as in TPE)."""

from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.baselines import BOHB

from benchmarks.rivals import syne_tune_trial
from benchmarks.rivals.task import FACTOR, SLOTS, Task

POLL = 1.0
"""Seconds between two looks at the trials; by default it is 5, in which small trials would do useless epochs."""


def search(task: Task) -> None:
    """Runs the search."""
    space = task.searched
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(Path(syne_tune_trial.__file__)), rotate_gpus=False),
        scheduler=BOHB(
            {**{name: _domain(kind) for name, kind in space.parameters.items()}, "task": _task_file(task)},
            metric="score",
            do_minimize=False,
            time_attr="epoch",
            max_t=task.epochs,
            grace_period=1,
            reduction_factor=FACTOR,
            points_to_evaluate=[dict(space.baseline)],
            random_seed=task.seed,
        ),
        stop_criterion=StoppingCriterion(max_num_trials_finished=task.trials),
        n_workers=SLOTS,
        sleep_time=POLL,
    )
    tuner.run()


def _task_file(task: Task) -> str:
    path = Path(task.folder) / "task.json"
    task.save(path)
    return str(path)


def _domain(kind: BaseDistribution) -> Any:  # noqa: ANN401 - Syne Tune has no types
    if isinstance(kind, CategoricalDistribution):
        return choice(list(kind.choices))
    if isinstance(kind, IntDistribution):
        return (lograndint if kind.log else randint)(kind.low, kind.high)
    if isinstance(kind, FloatDistribution):
        return (loguniform if kind.log else uniform)(kind.low, kind.high)
    raise TypeError(f"no such parameter: {kind}")
