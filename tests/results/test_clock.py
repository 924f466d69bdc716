"""Times and the order of trials when the machine's clock is set back."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from optuna.trial import FrozenTrial

from results import clock
from results.clock import Clock, utc
from results.jobs import Job
from results.report.facts import count_lines
from results.run_folder import ENDED
from results.snapshot import ended, in_order_of_end, load_snapshot, started
from results.tables.slots import spans
from tests.results.journals import START, MakeRun, complete

HOUR = timedelta(hours=1)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The seconds that have passed, to be changed."""
    passed = [1000.0]
    monkeypatch.setattr(clock, "_seconds", lambda: passed[0])
    return passed


def test_the_clock_tells_the_time_in_utc_and_goes_on_by_the_seconds_that_pass(seconds: list[float]) -> None:
    before = datetime.now(UTC)
    told = Clock()
    first = told.now()
    assert before <= first <= datetime.now(UTC)
    seconds[0] += 90
    assert told.now() - first == timedelta(seconds=90)


def test_the_clock_goes_on_after_the_times_of_an_earlier_start(seconds: list[float]) -> None:
    told = Clock()
    later = told.now() + HOUR
    told.go_on_after(later)
    assert told.now() == later
    seconds[0] += 1
    told.go_on_after(later)  # which it has told already
    assert told.now() == later + timedelta(seconds=1)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_trial_over_the_end_of_summer_time_lasts_as_long_as_it_did(make_run: MakeRun) -> None:
    trial = complete(0.5, seconds=2400.0)
    trial.datetime_start = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin
    trial.datetime_complete = trial.datetime_start + timedelta(minutes=40)  # 02:10 in Berlin
    snapshot = load_snapshot(make_run([trial]))

    assert [span.seconds for span in spans(snapshot.search)] == [2400]
    assert started(snapshot.search[0]) == trial.datetime_start
    assert count_lines(snapshot)[0].endswith("40 min 00 s of trial time in 40 min 00 s of wall time.")


@pytest.mark.usefixtures("berlin")
def test_times_without_a_zone_are_local() -> None:
    assert utc(datetime(2026, 7, 1, 12)) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    job = Job.from_attribute(
        "job-0", {"trials": [0], "first": 0, "last": 1, "due": 1, "started": "2026-07-01T12:00:00"}
    )
    assert job.started == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_an_end_before_the_start_as_older_versions_recorded_it_is_corrected() -> None:
    trial = complete(0.5, seconds=24.0, minutes=(60, 0.4))
    assert ended(trial) == START + HOUR + timedelta(seconds=24)
    assert [span.seconds for span in spans([trial])] == [24]


def _ended(place: int | None, minute: float, number: int) -> FrozenTrial:
    trial = complete(0.5, minutes=(0, minute), **({} if place is None else {ENDED: place}))
    trial.number = number
    return trial


def test_trials_are_in_the_order_in_which_their_ends_were_recorded() -> None:
    trials = [_ended(1, 5, 0), _ended(0, 65, 1), _ended(None, 70, 2), _ended(None, 60, 3), _ended(2, 6, 4)]
    assert [trial.number for trial in in_order_of_end(trials)] == [3, 2, 1, 0, 4]
