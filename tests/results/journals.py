"""Trials in every state, as Optuna keeps them, and the settings of a search that could have made them."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.jobs import Job
from results.run_folder import CONFIRMS, DIVERGED, REASON, SECONDS, SEED, STOPPED, RunFolder
from results.snapshot import RunSnapshot

BASELINE = {"learning_rate": 4e-4, "momentum": 0.9, "dropout": 0.5, "embedding_size": 500}

SETTINGS = {
    "data": "data/easy-vqa",
    "data_name": "easy_vqa",
    "data_fingerprint": "0123abcd",
    "space": "san",
    "baseline": BASELINE,
    "fixed": {"epochs": 4, "batch_size": 100},
    "trials": 20,
    "confirm": 3,
    "seed": 1,
    "metric": "accuracy",
    "metric_title": "accuracy",
    "sampler": "tpe",
    "pruner": "median",
    "concurrent": 2,
    "cohort": 1,
    "cpus_per_trial": 1,
    "gpus_per_trial": 0.5,
    "validation_questions": 1000,
    "command": "python -m tuning.search --trials 20",
    "started": "2025-01-02T10:00:00+01:00",
}

ENVIRONMENT = {
    "python": "3.12.1",
    "packages": {"torch": "2.11.0", "optuna": "5.0.0"},
    "cpu": "a processor",
    "cores": 2,
    "gpus": [],
    "precision": "float32",
    "platform": "Linux",
}

RANGES: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "momentum": FloatDistribution(0, 0.99),
    "dropout": FloatDistribution(0, 0.75),
    "embedding_size": IntDistribution(100, 1000, step=50),
}

START = datetime(2025, 1, 2, 10, tzinfo=UTC)

WUPS = {"metric": "wups@0.9", "metric_title": "WUPS@0.9"}
"""Settings of a search whose objective is not the accuracy."""

MakeRun = Callable[..., RunFolder]
"""make_run(search's trials, confirmations or None, jobs, confirmation_jobs, **other settings)"""

MakeSnapshot = Callable[..., RunSnapshot]
"""make_snapshot(...), with the arguments of make_run: the snapshot of such a run"""


def trial(
    *scores: float,
    state: TrialState = TrialState.COMPLETE,
    params: Mapping[str, Any] | None = None,
    minutes: tuple[float, float] | None = None,
    **attributes: object,
) -> FrozenTrial:
    """A trial that scored so after epochs 1, 2, ...; `minutes` are its start and end after START."""
    params = BASELINE if params is None else params
    made = create_trial(
        state=state,
        value=max(scores, default=0.0) if state is TrialState.COMPLETE else None,
        params=dict(params),
        distributions={name: RANGES[name] for name in params},
        intermediate_values=dict(enumerate(scores, start=1)),
        user_attrs=attributes,
    )
    if minutes:
        made.datetime_start, made.datetime_complete = (START + timedelta(minutes=minute) for minute in minutes)
    return made


def complete(*scores: float, seed: int = 1, seconds: float = 30.0, **rest: Any) -> FrozenTrial:  # noqa: ANN401
    return trial(*scores, **{SEED: seed, SECONDS: seconds, REASON: ""}, **rest)


def pruned(*scores: float, why: str = "pruned", seconds: float = 10.0, **rest: Any) -> FrozenTrial:  # noqa: ANN401
    return trial(*scores, state=TrialState.PRUNED, **{SEED: 1, SECONDS: seconds, REASON: why}, **rest)


def diverged(*scores: float, **rest: Any) -> FrozenTrial:  # noqa: ANN401
    """One that was stopped because going on was useless: the lowest score, whatever it had reached."""
    made = trial(*scores, **{SEED: 1, SECONDS: 20.0, REASON: "diverged in epoch 2: the loss is nan"}, **rest)
    made.values = [0.0]
    made.user_attrs[DIVERGED] = True
    return made


def stopped(*scores: float, minutes: tuple[float, float] = (0, 1), **rest: Any) -> FrozenTrial:  # noqa: ANN401
    """One that a bound on time stopped, and that can go on."""
    start, end = (START + timedelta(minutes=minute) for minute in minutes)
    attributes = {SEED: 1, SECONDS: 10.0, REASON: "stopped", STOPPED: end.isoformat()}
    made = trial(*scores, state=TrialState.RUNNING, **{**attributes, **rest})
    made.datetime_start = start
    return made


def failed(*scores: float, why: str) -> FrozenTrial:
    return trial(*scores, state=TrialState.FAIL, **{SEED: 1, REASON: why})


def fresh(number: int, score: float, seed: int = 100, **rest: Any) -> FrozenTrial:  # noqa: ANN401
    """A complete confirmation of that trial of the search."""
    return trial(score, **{CONFIRMS: number, SEED: seed, SECONDS: 20.0}, **rest)


def job(
    number: int, trials: Iterable[int], epochs: tuple[int, int], minutes: tuple[float, float | None], worker: str = ""
) -> Job:
    """A job that takes its trials from so many epochs to so many; `minutes` as those of `trial`, None while it runs."""
    start, end = (None if minute is None else START + timedelta(minutes=minute) for minute in minutes)
    return Job(number, tuple(trials), *epochs, due=epochs[1], started=start, ended=end, worker=worker)
