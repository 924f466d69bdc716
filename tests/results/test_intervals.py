import math

import pytest

from results.intervals import Sample, confidence, difference_interval, mean_interval, pooled_deviation, score_bounds


@pytest.mark.parametrize(
    ("scores", "half"),
    [
        ([0.5, 0.7], 12.7062 * 0.141421 / math.sqrt(2)),  # deviation sqrt(2 * 0.01), t of 1 degree of freedom
        ([0.5, 0.6, 0.7], 4.30265 * 0.1 / math.sqrt(3)),  # t of 2
        ([0.4, 0.5, 0.6, 0.7, 0.8], 2.77645 * 0.158114 / math.sqrt(5)),  # t of 4
    ],
)
def test_a_means_interval_is_students(scores: list[float], half: float) -> None:
    interval = mean_interval(Sample.of(scores))

    assert interval.middle == pytest.approx(0.6)
    assert interval.half == pytest.approx(half, rel=1e-4)
    assert (interval.low, interval.high) == pytest.approx((0.6 - half, 0.6 + half), rel=1e-4)


def test_one_score_has_no_interval() -> None:
    assert mean_interval(Sample.of([0.5])).middle == 0.5
    assert math.isnan(mean_interval(Sample.of([0.5])).half)
    assert math.isnan(difference_interval(Sample.of([0.5]), Sample.of([0.5, 0.6])).half)
    assert math.isnan(mean_interval(Sample.of([])).middle)


def test_a_differences_interval_pools_the_deviations() -> None:
    # squares 0.02 and 0.02 over 4 degrees of freedom: deviation 0.1; error 0.1 * sqrt(2 / 3); t of 4: 2.77645
    interval = difference_interval(Sample.of([0.5, 0.6, 0.7]), Sample.of([0.1, 0.2, 0.3]))

    assert interval.middle == pytest.approx(0.4)
    assert interval.half == pytest.approx(2.77645 * 0.0816497, rel=1e-4)


def test_an_interval_that_was_chosen_among_several_is_wider() -> None:
    # As above, but t of 4 at 1 - 0.05 / 3 / 2, from a table of Bonferroni's t: 3.961
    interval = difference_interval(Sample.of([0.5, 0.6, 0.7]), Sample.of([0.1, 0.2, 0.3]), comparisons=3)

    assert interval.half == pytest.approx(3.961 * 0.0816497, rel=1e-3)
    assert (confidence(1), confidence(5)) == pytest.approx((0.95, 0.99))


def test_samples_without_a_deviation_do_not_count() -> None:
    assert pooled_deviation(Sample.of([0.5, 0.6, 0.7]), Sample.of([0.9])) == pytest.approx(0.1)
    assert math.isnan(pooled_deviation(Sample.of([0.9])))


def test_an_interval_of_scores_ends_where_scores_do() -> None:
    assert score_bounds(Sample.of([0.97, 0.99])) == (pytest.approx(0.98 - 12.7062 * 0.01), 1.0)
    assert score_bounds(Sample.of([0.01, 0.03]))[0] == 0.0
    assert all(math.isnan(end) for end in score_bounds(Sample.of([0.5])))
