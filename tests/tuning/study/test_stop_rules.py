from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.study.stop_rules import SinceBest, StopRules, describe_seconds

PRUNED, FAILED = "pruned", "failed"


def _ended(outcomes: Iterable[float | str]) -> list[FrozenTrial]:
    """Trials that ended one after the other: with a score, pruned, or failed."""
    trials = []
    for place, outcome in enumerate(outcomes):
        states = {PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
        if isinstance(outcome, str):
            last = 0.95 if outcome == PRUNED else None  # Optuna gives a pruned trial the value of its last epoch
            trial = create_trial(state=states[outcome], value=last)
        else:
            trial = create_trial(value=outcome)
        trial.datetime_complete = datetime(2026, 1, 1) + timedelta(minutes=place)
        trials.append(trial)
    return trials


def test_without_bounds_a_search_never_ends() -> None:
    rules = StopRules()
    assert rules.time_stop_reason(1e9, 1e9) == ""
    assert rules.trials_stop_reason(10**6, 100) == ""


@pytest.mark.parametrize(("wall", "reason"), [(0, ""), (1799.9, ""), (1800, "used"), (1801, "used")])
def test_the_budget_bounds_wall_time(wall: float, reason: str) -> None:
    expected = "budget of 30 min used up" if reason else ""
    assert StopRules(budget=1800, gpus=1).time_stop_reason(wall, trained=1e6) == expected


@pytest.mark.parametrize(
    ("gpus", "trained", "over"),
    [(1, 7199, False), (1, 7200, True), (0.5, 14399, False), (0.5, 14400, True), (0.25, 28800, True), (0, 1e9, False)],
)
def test_gpu_hours_count_each_trials_share(gpus: float, trained: float, over: bool) -> None:
    found = StopRules(gpu_hours=2, gpus=gpus).time_stop_reason(wall=1e9, trained=trained)
    assert found == ("2 GPU hours used up" if over else "")


def test_the_first_of_two_time_bounds_that_is_reached_ends_the_search() -> None:
    rules = StopRules(budget=3600, gpu_hours=1.5, gpus=1)
    assert rules.time_stop_reason(3599, 5399) == ""
    assert rules.time_stop_reason(3600, 0) == "budget of 1 h used up"
    assert rules.time_stop_reason(0, 5400) == "1.5 GPU hours used up"


@pytest.mark.parametrize(
    ("started", "reason"), [(0, ""), (23, ""), (24, "all 24 trials run"), (30, "all 24 trials run")]
)
def test_the_number_of_trials_counts_started_trials(started: int, reason: str) -> None:
    assert StopRules(trials=24).trials_stop_reason(started, 0) == reason


def test_bounds_on_time_and_on_trials_are_independent() -> None:
    assert StopRules(trials=1, patience=1).time_stop_reason(1e9, 1e9) == ""
    assert StopRules(budget=1, gpu_hours=1, gpus=1).trials_stop_reason(10**6, 100) == ""


@pytest.mark.parametrize(
    ("outcomes", "since"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.4], 1),
        ([0.5, 0.5], 1),  # as good is not better
        ([0.5, 0.6], 0),
        ([0.5, 0.4, 0.3, 0.6, 0.2], 1),
        ([0.5, PRUNED, FAILED], 2),
        ([PRUNED, FAILED, PRUNED], 3),
        ([PRUNED, 0.1, FAILED], 1),
        ([0.0], 0),
        ([FAILED, 0.0, 0.0], 1),
    ],
)
def test_patience_counts_every_trial_that_ended_after_the_best(outcomes: list[float | str], since: int) -> None:
    ended = _ended(outcomes)
    assert StopRules(patience=since + 1).trials_stop_reason(len(ended), SinceBest(ended).count) == ""
    if since:
        assert (
            StopRules(patience=since).trials_stop_reason(len(ended), SinceBest(ended).count)
            == f"no better result in {since} trials"
        )


def test_patience_counts_in_the_order_in_which_trials_ended() -> None:
    best, worse, pruned = _ended([0.9, 0.2, PRUNED])
    for order in ([best, worse, pruned], [pruned, best, worse], [worse, pruned, best]):
        assert StopRules(patience=2).trials_stop_reason(3, SinceBest(order).count) == "no better result in 2 trials"
        assert StopRules(patience=3).trials_stop_reason(3, SinceBest(order).count) == ""


def test_the_number_of_trials_is_the_reason_if_patience_ran_out_too() -> None:
    rules = StopRules(trials=3, patience=2)
    ended = _ended([0.5, 0.4, 0.3])
    assert rules.trials_stop_reason(3, SinceBest(ended).count) == "all 3 trials run"
    assert rules.trials_stop_reason(2, SinceBest(ended).count) == "no better result in 2 trials"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (45, "45 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "90 s"),
        (199.071, "199 s"),
        (1800, "30 min"),
        (3600, "1 h"),
        (5400, "90 min"),
        (7200, "2 h"),
        (172800, "48 h"),
    ],
)
def test_a_duration_is_given_in_the_largest_unit_in_which_it_is_whole(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text
