"""A search whose machine's clock is set back by an hour meanwhile."""

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest
from optuna.storages.journal import _storage

from results import clock
from results.report.facts import count_lines
from results.run_folder import SECONDS, RunFolder
from results.snapshot import load_snapshot, started
from results.tables.slots import spans
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study.live_trial import Epoch
from tuning.study.study import Study

HOUR = timedelta(hours=1)


class MachineTime(datetime):
    """The machine's clock, which can be set."""

    error = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.error


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Sets the clock back by an hour."""
    monkeypatch.setattr(MachineTime, "error", timedelta(0))
    monkeypatch.setattr(_storage, "datetime", MachineTime)
    monkeypatch.setattr(clock, "datetime", MachineTime)

    def set_back() -> None:
        MachineTime.error -= HOUR

    return set_back


def _train(study: Study, score: float, between: Callable[[], None] = lambda: None) -> None:
    """Runs a trial; its clock changes between its first and its last epoch."""
    number = ask(study).trial.number
    study.report(number, Epoch(1, score / 2, 0.001))
    between()
    for epoch in range(2, EPOCHS + 1):
        study.report(number, Epoch(epoch, score, 0.001 * epoch))
    study.finish(number)


@pytest.fixture
def run(make_run: Callable[..., RunFolder], set_back: Callable[[], None]) -> RunFolder:
    """A search of 4 trials, the last one the best, whose clock is set back twice, and which is resumed between."""
    run = make_run(pruner="none")
    study = searching(run, patience=3)
    _train(study, 0.3)
    _train(study, 0.2, set_back)
    set_back()
    resumed = searching(RunFolder(run.path), patience=3)
    _train(resumed, 0.1)
    _train(resumed, 0.4)
    return RunFolder(run.path)


def test_patience_counts_from_the_new_best(run: RunFolder) -> None:
    study = searching(run, patience=3)
    assert [trial.number for trial in study.ended] == [0, 1, 2, 3]
    assert study.stop_reason == ""


def test_no_time_goes_back(run: RunFolder) -> None:
    snapshot = load_snapshot(run)
    ran = spans(snapshot.search)
    assert [span.number for span in ran] == [0, 1, 2, 3]
    assert all(0 <= span.seconds < 60 for span in ran)
    assert all(one.end <= other.start for one, other in zip(ran, ran[1:], strict=False))
    assert "-" not in count_lines(snapshot)[0]


def test_a_trial_that_goes_on_after_the_clock_was_set_back_does_so_after_it_was_interrupted(
    make_run: Callable[..., RunFolder], set_back: Callable[[], None]
) -> None:
    run = make_run(pruner="none")
    study = searching(run)
    study.report(ask(study).trial.number, Epoch(1, 0.5, 1.0))
    began = started(run.study().trials[0])
    set_back()
    study = searching(RunFolder(run.path))
    ask(study)
    went_on = started(RunFolder(run.path).study().trials[0])
    assert began is not None
    assert went_on is not None
    assert began < went_on < began + HOUR
    assert SECONDS not in study.optuna_study.user_attrs
