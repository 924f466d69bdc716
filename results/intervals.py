"""How certain a mean or a difference of scores is: standard errors and 95 % intervals (Student's t)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95
"""Confidence level of every interval that was not chosen among several."""

ENOUGH_SEEDS = 2
"""Fresh seeds that a configuration needs before its standard deviation between seeds is defined."""


@dataclass(frozen=True)
class Interval:
    """A symmetric confidence interval.

    Attributes:
        middle: the estimate.
        half: half the interval's width; NaN where it is not known.
    """

    middle: float
    half: float

    @property
    def low(self) -> float:
        """Lower bound."""
        return self.middle - self.half

    @property
    def high(self) -> float:
        """Upper bound."""
        return self.middle + self.half


@dataclass(frozen=True)
class Sample:
    """Count, mean and spread of some scores.

    Attributes:
        count: number of scores.
        mean: mean of the scores; NaN if there are none.
        deviation: sample standard deviation (n - 1) of the scores; NaN for fewer than two.
    """

    count: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: Sequence[float]) -> "Sample":
        """The sample of these scores."""
        return cls(
            len(scores),
            fmean(scores) if scores else math.nan,
            stdev(scores) if len(scores) >= ENOUGH_SEEDS else math.nan,
        )


def mean_interval(sample: Sample) -> Interval:
    """Student's t interval of a sample's mean."""
    if sample.count < ENOUGH_SEEDS:
        return Interval(sample.mean, math.nan)
    return Interval(sample.mean, _quantile(sample.count - 1) * sample.deviation / math.sqrt(sample.count))


def score_bounds(sample: Sample) -> tuple[float, float]:
    """Lower and upper bound of `mean_interval`, clipped to [0, 1]; NaN where they are not known."""
    interval = mean_interval(sample)
    if math.isnan(interval.half):
        return math.nan, math.nan
    return max(0.0, interval.low), min(1.0, interval.high)


def difference_interval(first: Sample, second: Sample, comparisons: int = 1) -> Interval:
    """Student's t interval of the first mean minus the second, with the pooled deviation of both.

    Not Welch's interval: it would estimate each configuration's spread alone, for which two seeds are too few.

    Args:
        first: scores of one configuration.
        second: scores of the other one.
        comparisons: number of such intervals from which one was chosen by the same scores, >= 1; see `confidence`.
    """
    difference = first.mean - second.mean
    if min(first.count, second.count) < ENOUGH_SEEDS:
        return Interval(difference, math.nan)
    error = pooled_deviation(first, second) * math.sqrt(1 / first.count + 1 / second.count)
    return Interval(difference, _quantile(first.count + second.count - 2, confidence(comparisons)) * error)


def confidence(comparisons: int) -> float:
    """Confidence level of an interval that was chosen from so many: all of them together have `CONFIDENCE`.

    By Bonferroni's inequality: each may be wrong with a share of the probability with which one interval may.
    """
    return 1 - (1 - CONFIDENCE) / comparisons


def pooled_deviation(*samples: Sample) -> float:
    """Pooled standard deviation of the samples with two or more scores; NaN if there are none."""
    known = [sample for sample in samples if sample.count >= ENOUGH_SEEDS]
    degrees_of_freedom = sum(sample.count - 1 for sample in known)
    sum_of_squares = sum((sample.count - 1) * sample.deviation**2 for sample in known)
    return math.sqrt(sum_of_squares / degrees_of_freedom) if known else math.nan


def binomial_error(first: float, second: float, questions: int) -> float:
    """Standard error of the difference of two scores in [0, 1], each the mean over that many independent questions.

    Exact where a question is answered right or wrong; an upper bound where it can score anything in [0, 1], because
    the variance is then p(1 - p) at most.
    """
    variance = first * (1 - first) + second * (1 - second)
    return math.sqrt(max(0.0, variance) / questions)  # a damaged journal may hold other scores


def _quantile(degrees_of_freedom: int, level: float = CONFIDENCE) -> float:
    """Quantile of Student's t distribution: half the width of an interval of that level, in standard errors."""
    return float(stdtrit(degrees_of_freedom, (1 + level) / 2))
