"""How sure a number is: standard errors and intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95
"""Of every interval."""

ENOUGH_SEEDS = 2
"""Fresh seeds that a configuration needs before the spread between seeds is known."""


@dataclass(frozen=True)
class Interval:
    """A number and how far off it may be, to either side.

    Attributes:
        middle: the number.
        half: half the interval's width; NaN where it is not known.
    """

    middle: float
    half: float

    @property
    def low(self) -> float:
        """Where the interval begins."""
        return self.middle - self.half

    @property
    def high(self) -> float:
        """Where the interval ends."""
        return self.middle + self.half


@dataclass(frozen=True)
class Sample:
    """What is known of some scores.

    Attributes:
        count: how many there are.
        mean: of them; NaN for none.
        deviation: sample standard deviation (n - 1); NaN for fewer than two.
    """

    count: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: Sequence[float]) -> "Sample":
        """A sample's three numbers."""
        return cls(
            len(scores),
            fmean(scores) if scores else math.nan,
            stdev(scores) if len(scores) >= ENOUGH_SEEDS else math.nan,
        )


def mean_interval(sample: Sample) -> Interval:
    """Student's interval of a mean."""
    if sample.count < ENOUGH_SEEDS:
        return Interval(sample.mean, math.nan)
    return Interval(sample.mean, _quantile(sample.count - 1) * sample.deviation / math.sqrt(sample.count))


def score_bounds(sample: Sample) -> tuple[float, float]:
    """Both ends of `mean_interval`, cut to what a mean of scores can be, [0, 1]; NaN where they are not known."""
    interval = mean_interval(sample)
    if math.isnan(interval.half):
        return math.nan, math.nan
    return max(0.0, interval.low), min(1.0, interval.high)


def difference_interval(first: Sample, second: Sample) -> Interval:
    """Student's interval of the first mean less the second, with the pooled deviation of both.

    Two seeds are too few to know each configuration's own spread, which Welch's interval would need.
    """
    difference = first.mean - second.mean
    if min(first.count, second.count) < ENOUGH_SEEDS:
        return Interval(difference, math.nan)
    error = pooled_deviation(first, second) * math.sqrt(1 / first.count + 1 / second.count)
    return Interval(difference, _quantile(first.count + second.count - 2) * error)


def pooled_deviation(*samples: Sample) -> float:
    """Sample standard deviation around each sample's own mean, of all samples with two or more; NaN for none."""
    known = [sample for sample in samples if sample.count >= ENOUGH_SEEDS]
    freedom = sum(sample.count - 1 for sample in known)
    squares = sum((sample.count - 1) * sample.deviation**2 for sample in known)
    return math.sqrt(squares / freedom) if known else math.nan


def binomial_error(first: float, second: float, questions: int) -> float:
    """Standard error of the difference of two scores in [0, 1], each the mean over that many independent questions.

    Exact where a question is answered right or wrong; an upper bound where it can score anything in [0, 1], because
    the variance is then p(1 - p) at most.
    """
    return math.sqrt((first * (1 - first) + second * (1 - second)) / questions)


def _quantile(freedom: int) -> float:
    """How many standard errors an interval reaches to either side."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
