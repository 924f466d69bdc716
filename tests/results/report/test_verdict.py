import math

import pytest
from optuna.trial import FrozenTrial, TrialState

from results.intervals import binomial_error
from results.report.headline_numbers import headline_numbers
from results.report.verdict import verdict
from tests.results.journals import WUPS, MakeSnapshot, complete, failed, fresh, pruned, trial

SEARCH = [complete(0.5), complete(0.6)]


def test_an_interval_above_zero_is_an_improvement(make_snapshot: MakeSnapshot) -> None:
    # Means 0.72 and 0.62; both groups vary by 0.002 around them: pooled deviation sqrt(4 * 4e-6 / 2) = 0.002828, its
    # standard error the same; Student's t of 2 degrees of freedom is 4.3027: 1.22 points
    snapshot = make_snapshot(SEARCH, [fresh(1, 0.718), fresh(1, 0.722), fresh(0, 0.618), fresh(0, 0.622)])

    assert verdict(snapshot) == (
        "The best configuration beats the baseline by 10.00 points (mean of 2 fresh seeds each); "
        "the 95 % interval, +8.78 to +11.22 points, lies above 0: a reliable improvement."
    )


def test_an_interval_around_zero_is_not_reliable(make_snapshot: MakeSnapshot) -> None:
    # Pooled deviation and standard error 0.02828, times 4.3027: 12.17 points
    snapshot = make_snapshot(SEARCH, [fresh(1, 0.60), fresh(1, 0.64), fresh(0, 0.59), fresh(0, 0.63)])

    assert verdict(snapshot) == (
        "The best configuration beats the baseline by 1.00 points (mean of 2 fresh seeds each); "
        "the 95 % interval, -11.17 to +13.17 points, includes 0: not a reliable improvement; more seeds would tell."
    )


def test_groups_of_different_size_are_pooled_by_their_degrees_of_freedom(make_snapshot: MakeSnapshot) -> None:
    # Best 0.70, 0.73, 0.76: squares 0.0018; baseline 0.50, 0.52: squares 0.0002; over 3: deviation 0.02582;
    # times sqrt(1/3 + 1/2) = 0.02357, times t of 3 degrees of freedom, 3.1824: 7.50 points
    snapshot = make_snapshot(
        SEARCH, [*(fresh(1, score) for score in (0.70, 0.73, 0.76)), fresh(0, 0.50), fresh(0, 0.52)]
    )

    assert verdict(snapshot) == (
        "The best configuration beats the baseline by 22.00 points (means of 3 and 2 fresh seeds); "
        "the 95 % interval, +14.50 to +29.50 points, lies above 0: a reliable improvement."
    )


def test_a_best_that_fresh_seeds_refute_is_said_to_be_worse(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(SEARCH, [fresh(1, 0.40), fresh(1, 0.41), fresh(0, 0.50), fresh(0, 0.51)])

    # deviation and error 0.007071, times 4.3027: 3.04 points
    assert verdict(snapshot) == (
        "The best configuration is 10.00 points below the baseline (mean of 2 fresh seeds each); "
        "the 95 % interval, -13.04 to -6.96 points, lies below 0: keep the baseline."
    )


def test_equal_means_are_no_improvement(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(SEARCH, [fresh(1, 0.5), fresh(1, 0.5), fresh(0, 0.5), fresh(0, 0.5)])

    assert verdict(snapshot) == (
        "The best configuration equals the baseline (mean of 2 fresh seeds each); "
        "the 95 % interval, +0.00 to +0.00 points, includes 0: not a reliable improvement; more seeds would tell."
    )


def test_a_search_without_a_baseline_has_only_a_best(make_snapshot: MakeSnapshot) -> None:
    assert verdict(make_snapshot(SEARCH, baseline_first=False)) == (
        "This search ran no baseline: its best is trial 1, 60.00 %."
    )


def test_without_fresh_seeds_the_number_of_questions_decides(make_snapshot: MakeSnapshot) -> None:
    # 2 * sqrt((0.6 * 0.4 + 0.5 * 0.5) / 1000) = 0.04427
    assert verdict(make_snapshot(SEARCH)) == (
        "The best configuration beats the baseline by 10.00 points (one run each), more than the 4.43 points that "
        "chance explains on 1000 validation questions (two standard errors), but seeds were not repeated."
    )


def test_without_fresh_seeds_few_questions_decide_nothing(make_snapshot: MakeSnapshot) -> None:
    assert verdict(make_snapshot(SEARCH, validation_questions=100)) == (
        "The best configuration beats the baseline by 10.00 points (one run each), within the 14.00 points that chance "
        "explains on 100 validation questions (two standard errors): not a reliable improvement; "
        "seeds were not repeated."
    )


def test_one_fresh_seed_is_too_few(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(SEARCH, [fresh(1, 0.6), fresh(1, 0.6), fresh(0, 0.5)])

    assert verdict(snapshot).endswith("but too few seeds were repeated to tell more.")


def test_without_the_number_of_questions_the_difference_stands_alone(make_snapshot: MakeSnapshot) -> None:
    assert verdict(make_snapshot(SEARCH, validation_questions=None)) == (
        "The best configuration beats the baseline by 10.00 points (one run each), but seeds were not repeated."
    )


def test_the_baseline_may_be_the_best(make_snapshot: MakeSnapshot) -> None:
    assert verdict(make_snapshot([complete(0.75), complete(0.5), complete(0.7), pruned(0.9)])) == (
        "The baseline is the best configuration: none of the 2 other complete trials did better than its 75.00 %."
    )


def test_the_baseline_may_be_all_there_is(make_snapshot: MakeSnapshot) -> None:
    assert verdict(make_snapshot([complete(0.75), pruned(0.9)])) == (
        "Only the baseline is complete (75.00 %), so there is nothing to compare it with."
    )


@pytest.mark.parametrize(
    ("baseline", "why"),
    [
        (failed(0.4, why="OutOfMemoryError"), "OutOfMemoryError"),
        (trial(0.4, state=TrialState.RUNNING), "not finished"),
        (trial(0.4, state=TrialState.PRUNED), "pruned"),
    ],
)
def test_a_baseline_that_did_not_finish_decides_nothing(
    make_snapshot: MakeSnapshot, baseline: FrozenTrial, why: str
) -> None:
    assert verdict(make_snapshot([baseline, complete(0.6)])) == (
        f"The baseline did not finish ({why}), so the best configuration (trial 1, 60.00 %) has nothing to be "
        "compared with."
    )


def test_no_complete_trial_no_best(make_snapshot: MakeSnapshot) -> None:
    assert verdict(make_snapshot([pruned(0.5), failed(why="x")])) == (
        "None of the 2 trials is complete, so there is no best configuration."
    )


def test_no_trial_at_all(make_snapshot: MakeSnapshot) -> None:
    assert verdict(make_snapshot([])) == "No trial was started, so there is no best configuration."


def test_binomial_error_of_certain_answers_is_zero() -> None:
    assert binomial_error(1.0, 0.0, 10) == 0
    assert binomial_error(0.5, 0.5, 50) == pytest.approx(math.sqrt(0.5 / 50))


@pytest.mark.parametrize(
    ("search", "confirmations", "said"),
    [
        (SEARCH, [], "beats the baseline by 10.00 points in WUPS@0.9 (one run each), more than the 4.43 points that"),
        (
            SEARCH,
            [fresh(1, 0.40), fresh(1, 0.41), fresh(0, 0.50), fresh(0, 0.51)],
            "is 10.00 points below the baseline in WUPS@0.9 (mean of 2 fresh seeds each); the 95 % interval",
        ),
        (SEARCH, [fresh(1, 0.5), fresh(1, 0.5), fresh(0, 0.5), fresh(0, 0.5)], "equals the baseline in WUPS@0.9 (mean"),
        ([complete(0.75)], [], "Only the baseline is complete (75.00 % in WUPS@0.9), so"),
        ([complete(0.75), complete(0.5)], [], "did better than its 75.00 % in WUPS@0.9."),
        ([pruned(0.4), complete(0.6)], [], "the best configuration (trial 1, 60.00 % in WUPS@0.9) has nothing"),
    ],
)
def test_a_metric_other_than_accuracy_is_named(
    make_snapshot: MakeSnapshot, search: list[FrozenTrial], confirmations: list[FrozenTrial], said: str
) -> None:
    assert said in verdict(make_snapshot(search, confirmations, **WUPS))


def test_binomial_error_bounds_that_of_partial_scores() -> None:
    # Scores of 0, 1/3, 2/3 and 1 in equal parts: mean 1/2, variance 5/36 where right and wrong have 1/4.
    assert math.sqrt(2 * 5 / 36 / 100) < binomial_error(0.5, 0.5, 100) == pytest.approx(math.sqrt(2 / 4 / 100))


@pytest.mark.parametrize("baseline", [pruned(0.4), failed(why="the worker died")])
def test_fresh_seeds_decide_though_the_baseline_did_not_finish_in_the_search(
    make_snapshot: MakeSnapshot, baseline: FrozenTrial
) -> None:
    again = [fresh(0, 0.50), fresh(0, 0.51), fresh(1, 0.70), fresh(1, 0.71)]
    snapshot = make_snapshot([baseline, complete(0.72)], again)

    assert verdict(snapshot).startswith(
        "The best configuration beats the baseline by 20.00 points (mean of 2 fresh seeds"
    )
    best, other, difference = headline_numbers(snapshot)
    assert best[:2] == ("best, trial 1", "70.50 %")
    assert other[:2] == ("baseline, trial 0", "50.50 %")
    assert other[2].endswith("not finished in the search")
    assert difference[1] == "+20.00 points"
