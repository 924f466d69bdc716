"""A trial whose checkpoint is damaged starts anew, alone or in a cohort, with the same scores; without Ray."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ray import tune

from results.jobs import Job
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from tuning.execution import checkpoints, cohort_worker, worker
from tuning.execution.cohort_worker import CohortWorker
from tuning.execution.placement import Placement
from tuning.execution.trial_setup import TrialSetup
from tuning.execution.worker import SANWorker
from tuning.study.live_trial import Epoch
from tuning.study.tune_interface import (
    CHECKPOINT_FOLDER,
    EPOCHS,
    JOB,
    LIVE_TRIALS,
    RECORDED,
    RUN_AND_STUDY,
    TRIAL_SETUP,
    TRIALS,
    WIDTHS,
)


def _other_content(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _other_shape(content: bytes) -> bytes:
    state = torch.load(io.BytesIO(content), weights_only=True)
    model = state["training"]["model"]
    for name, value in model.items():
        model[name] = torch.cat([value, value])
    return _other_content(state)


def _other_optimizer(content: bytes) -> bytes:
    """Whose weights fit."""
    state = torch.load(io.BytesIO(content), weights_only=True)
    state["training"]["optimizer"]["square_avg"].pop()
    return _other_content(state)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "all but the end": lambda content: content[:-100],
    "garbage": lambda _: b"torn\0" * 1000,
    "zeros": lambda content: bytes(len(content)),
    "something else": lambda _: _other_content({"training": 3}),
    "other shapes": _other_shape,
    "other optimizer": _other_optimizer,
}


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return DAMAGES[request.param]


@pytest.fixture
def start(
    tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tune.Trainable]:
    """start(class, trials, **config): a worker in this process."""
    for module in (worker, cohort_worker):
        monkeypatch.setattr(module, "describe_location", lambda: "here")
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    fixed = {**tiny_config.to_dict(), "epochs": 4, "order_seed": 5}
    setup = TrialSetup(
        str(tiny_data.folder), "accuracy", fixed, Placement(1, 0, max_concurrent=2), show_in_dashboard=False, cohort=2
    )

    def begin(kind: type[tune.Trainable], trials: dict[int, dict[str, Any]], **config: object) -> tune.Trainable:
        shared = {TRIAL_SETUP: setup, CHECKPOINT_FOLDER: str(tmp_path), RUN_AND_STUDY: ("run", "search")}
        return kind({**shared, TRIALS: trials, **config})

    return begin


def _epochs(worker: tune.Trainable, steps: int) -> list[tuple[int, Epoch]]:
    return [epoch for _ in range(steps) for epoch in worker.step()[EPOCHS]]


def _scores(epochs: list[tuple[int, Epoch]]) -> list[tuple[int, int, float, float | None]]:
    return [(number, epoch.number, epoch.score, epoch.loss) for number, epoch in epochs]


def test_a_trial_starts_anew(
    start: Callable[..., tune.Trainable], damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    trials = {7: {"seed": 3}}
    first = _epochs(start(SANWorker, trials), 2)
    file = tmp_path / "trial-0007.pt"
    file.write_bytes(damage(file.read_bytes()))
    again = _epochs(start(SANWorker, trials), 2)
    assert _scores(again) == _scores(first)
    assert [epoch.note.partition(" (")[0] for _, epoch in again] == ["starts anew, since its checkpoint is damaged", ""]


def test_a_member_of_a_cohort_starts_anew(
    start: Callable[..., tune.Trainable], damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    trials = {number: {"seed": number, "learning_rate": 1e-3 * (1 + number)} for number in (0, 1)}
    widths = {number: {2: 2, 4: 2} for number in trials}
    jobs = [Job(0, (0, 1), 0, 2, 2, 2), Job(1, (0, 1), 2, 4, 4, 2)]
    config = {WIDTHS: widths, LIVE_TRIALS: frozenset(trials)}
    whole = start(CohortWorker, trials, **{JOB: jobs[0]}, **config)
    expected = _epochs(whole, 2)
    kept = (tmp_path / "trial-0001.pt").read_bytes()
    whole.reset_config({**whole.config, JOB: jobs[1]})
    expected += _epochs(whole, 2)

    (tmp_path / "trial-0001.pt").write_bytes(damage(kept))
    (tmp_path / "trial-0000.pt").unlink()  # it has none: nothing is said of it
    found = _epochs(start(CohortWorker, trials, **{JOB: jobs[1]}, **config), 4)
    assert sorted(_scores(found)) == sorted(_scores(expected))
    notes = {(number, epoch.number): epoch.note for number, epoch in found if epoch.note}
    assert list(notes) == [(1, 1)]
    assert notes[1, 1].startswith("starts anew, since its checkpoint is damaged (")


# A power cut may leave a checkpoint and take the last lines of the journal, which were written before it.


@pytest.mark.parametrize(("recorded", "reported"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, [3])])
def test_a_trial_reports_what_the_journal_lacks(
    recorded: int, reported: list[int], start: Callable[..., tune.Trainable]
) -> None:
    trials = {7: {"seed": 3}}
    expected = _scores(_epochs(start(SANWorker, trials), 3))
    again = start(SANWorker, trials, **{RECORDED: recorded})
    found = _scores(_epochs(again, len(reported)))
    assert found == expected[-len(reported) :]
    assert [number for _, number, _, _ in _scores(_epochs(again, 1))] == [4]


def test_a_member_of_a_cohort_reports_what_the_journal_lacks_even_of_the_jobs_before(
    start: Callable[..., tune.Trainable],
) -> None:
    trials = {number: {"seed": number} for number in (0, 1)}
    config = {WIDTHS: {number: {1: 2, 2: 2, 4: 2} for number in trials}, LIVE_TRIALS: frozenset(trials)}
    jobs = [Job(number, (0, 1), first, last, last, 2) for number, (first, last) in enumerate([(0, 1), (1, 2), (2, 4)])]
    whole = start(CohortWorker, trials, **{JOB: jobs[0]}, **config)
    expected = _epochs(whole, 1)
    for job, steps in ((jobs[1], 1), (jobs[2], 1)):
        whole.reset_config({**whole.config, JOB: job})
        expected += _epochs(whole, steps)

    again = start(CohortWorker, trials, **{JOB: jobs[0]}, **config)  # the journal has nothing of all that
    found = _epochs(again, 1)
    for job in jobs[1:]:
        again.reset_config({**again.config, JOB: job})
        found += _epochs(again, 1)
    assert _scores(found) == _scores(expected)
