"""Workers whose trials are trained on several preparations, in this process and without Ray."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from results.jobs import Job
from results.preparations import Preparation
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from tuning.execution import checkpoints, cohort_worker, worker
from tuning.execution.cohort_worker import CohortWorker
from tuning.execution.placement import Placement
from tuning.execution.trial_setup import TrialSetup
from tuning.execution.worker import SANWorker
from tuning.study.tune_interface import (
    CHECKPOINT_FOLDER,
    EPOCHS,
    JOB,
    LIVE_TRIALS,
    RUN_AND_STUDY,
    TRIAL_SETUP,
    TRIALS,
    WIDTHS,
)

Start = Callable[..., tune.Trainable]
Losses = list[tuple[int, int, float | None]]


@pytest.fixture
def sets(tiny_data: PreparedData, tiny_whole: PreparedData) -> Mapping[str, PreparedData]:
    return {"2x2": tiny_data, "1x1": tiny_whole}


@pytest.fixture
def start(
    sets: Mapping[str, PreparedData], tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Start:
    """start(class, trials, only=None, **config): a worker that has both preparations, or only one."""
    for module in (worker, cohort_worker):
        monkeypatch.setattr(module, "describe_location", lambda: "here")
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    fixed = {**tiny_config.to_dict(), "order_seed": 5}
    both = {name: Preparation(str(each.folder), each.fingerprint, "") for name, each in sets.items()}

    def begin(
        kind: type[tune.Trainable], trials: dict[int, dict[str, Any]], only: str = "", **config: object
    ) -> tune.Trainable:
        setup = TrialSetup(
            str(sets[only or "2x2"].folder),
            "accuracy",
            fixed,
            Placement(1, 0, max_concurrent=2),
            show_in_dashboard=False,
            cohort=2,
            preparations={} if only else both,
        )
        folder = tmp_path / (only or "both")
        folder.mkdir(exist_ok=True)
        shared = {TRIAL_SETUP: setup, CHECKPOINT_FOLDER: str(folder), RUN_AND_STUDY: ("run", "search")}
        return kind({**shared, TRIALS: trials, **config})

    return begin


def _losses(worker: tune.Trainable, steps: int) -> Losses:
    epochs = [epoch for _ in range(steps) for epoch in worker.step()[EPOCHS]]
    return [(number, epoch.number, epoch.loss) for number, epoch in epochs]


def test_trials_one_after_the_other_are_trained_on_their_own_data(start: Start) -> None:
    trials = {number: {"seed": 3, "data": name} for number, name in enumerate(("1x1", "2x2", "1x1"))}
    one = start(SANWorker, {0: trials[0]})
    found = [_losses(one, 2)]
    for number in (1, 2):
        one.reset_config({**one.config, TRIALS: {number: trials[number]}})
        found.append(_losses(one, 2))
    for number, settings in trials.items():
        alone = start(SANWorker, {number: {"seed": 3}}, only=settings["data"])
        assert found[number] == _losses(alone, 2)
    assert [loss for _, _, loss in found[0]] == [loss for _, _, loss in found[2]]
    assert [loss for _, _, loss in found[0]] != [loss for _, _, loss in found[1]]


def test_cohorts_are_trained_on_their_own_data_and_go_on_after_others(start: Start) -> None:
    """The trials of one preparation are put aside while those of the other are trained."""
    names = ("1x1", "1x1", "2x2", "2x2")
    trials = {number: {"seed": number, "data": name} for number, name in enumerate(names)}
    widths = {number: {1: 2, 2: 2} for number in trials}
    jobs = [Job(0, (0, 1), 0, 1, 1, 2), Job(1, (2, 3), 0, 1, 2, 2), Job(2, (0, 1), 1, 2, 3, 2)]
    shared = {WIDTHS: widths, LIVE_TRIALS: frozenset(trials)}

    def of(job: Job) -> dict[str, Any]:
        return {JOB: job, TRIALS: {number: trials[number] for number in job.trials}}

    both = start(CohortWorker, **{"trials": of(jobs[0])[TRIALS], JOB: jobs[0]}, **shared)
    found = _losses(both, 1)
    for job in jobs[1:]:
        both.reset_config({**both.config, **of(job)})
        found += _losses(both, 1)

    expected: Losses = []
    for name, job in (("1x1", Job(0, (0, 1), 0, 2, 2, 2)), ("2x2", jobs[1])):
        own = {number: {"seed": number} for number in job.trials}
        expected += _losses(start(CohortWorker, own, only=name, **{JOB: job}, **shared), job.last)
    assert sorted(set(found)) == sorted(expected)
