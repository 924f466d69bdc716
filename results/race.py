"""The race of the best trials of a search under fresh seeds: who stays in it, what runs next, who has won.

The best few scores of a search often differ by no more than chance explains. So these trials, the finalists, are run
again in rounds: in each round every finalist that is still in the race, and the baseline, runs under the next fresh
seed, the same for all. A finalist that is behind by more than chance explains leaves the race, and the runs that this
saves go to the others. It is racing as in Maron and Moore, Hoeffding Races, NIPS 1993, and Birattari et al., A Racing
Algorithm for Configuring Metaheuristics, GECCO 2002, with the paired t-test that irace (López-Ibáñez et al., 2016) has
as an alternative to F-Race's test by ranks, which finds nothing in less than five rounds.

Everything here follows from the scores alone, in whatever order they came.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Run = tuple[int, int]
"""A run under a fresh seed: the number of the trial that it repeats, and its round, from 0 on."""

FAILED, DIVERGED = math.nan, -math.inf
"""In place of the score of a run that failed, which says nothing, or diverged, which is behind any score."""

ROUNDS_TO_DECIDE = 2
"""Nobody leaves before so many rounds: one round does not show how much scores vary by chance."""

LEVEL = 0.1
"""One-sided level of the test by which a finalist leaves.

irace has 0.05 after five rounds. Here two to five rounds are usual, in which 0.05 would let hardly anyone leave; and a
wrong exit costs little among finalists that the search could not tell apart. Simulated with five seeds and three
finalists whose true means vary as much as the scores of one configuration: 0.1 chose as well as five runs of each (the
best in 80 % of 1,500 races) with 15 % fewer runs; 0.2 saved more, but lost a fifth more accuracy to wrong choices.
"""

DRAWS = 100_000
"""Draws from which the probability of being the best is estimated: its standard error is 0.16 % at most."""

_ROUNDING = 1e-12
"""Differences of means up to this are rounding errors."""


@dataclass(frozen=True)
class Race:
    """A race, as far as it was run.

    Attributes:
        finalists: numbers of the trials in the race, the best score of the search first.
        scores: the scores, in [0, 1], of the runs that have ended, by trial and by round; those of the baseline too.
            See `FAILED` and `DIVERGED`.
    """

    finalists: Sequence[int]
    scores: Mapping[int, Mapping[int, float]]

    @cached_property
    def left(self) -> dict[int, int]:
        """The number of rounds after which a finalist has left, by its number."""
        return {number: rounds for rounds, numbers in self._exits() for number in numbers}

    @property
    def was_run(self) -> bool:
        """Whether the race has chosen among several finalists."""
        return len(self.finalists) > 1 and self.winner is not None

    @property
    def racing(self) -> list[int]:
        """The finalists that are still in the race."""
        return [number for number in self.finalists if number not in self.left]

    @cached_property
    def winner(self) -> int | None:
        """Of those that are still in the race, the one with the highest mean; of equal means the first finalist.

        None before every finalist has ended the first round, or if no run has a score.
        """
        if any(0 not in self.scores.get(number, {}) for number in self.finalists):
            return None
        means = {number: self.mean(number) for number in self.racing}
        scored = {number: mean for number, mean in means.items() if math.isfinite(mean)}
        return max(scored, key=lambda number: scored[number], default=None)

    def scored(self, number: int) -> list[float]:
        """The scores of a finalist's runs that have ended, without those that failed."""
        return [score for score in self.scores.get(number, {}).values() if not math.isnan(score)]

    def mean(self, number: int) -> float:
        """Mean of a finalist's scores: NaN without any, minus infinity if a run diverged."""
        found = self.scored(number)
        return fmean(found) if found else math.nan

    def next_runs(self, seeds: int, baseline: int | None = None, given_up: Collection[Run] = ()) -> list[Run]:
        """The runs to do next, which no decision comes before; empty if the race is over.

        All of them can run at the same time. The race has a budget: `seeds` runs for each finalist, and for the
        baseline if it is none of them. It is over when the budget is too small for another round, or when one finalist
        is left and it and the baseline have run under `seeds` seeds.

        Args:
            seeds: number of fresh seeds, >= 0.
            baseline: number of the baseline's trial, which runs in every round; None if there is none.
            given_up: runs that are not done again although they failed.
        """
        always = [] if baseline is None else [baseline]
        racing, wanted, spent = list(self.finalists), [], 0
        budget = seeds * len({*always, *racing})
        for number in count() if racing else ():
            runners = dict.fromkeys([*always, *racing])
            if spent + len(runners) > budget or (len(racing) == 1 and number >= seeds):
                break
            wanted += [run for runner in runners if self._is_open(run := (runner, number), given_up)]
            spent += len(runners)
            if len(racing) > 1 and number + 1 >= ROUNDS_TO_DECIDE:
                if wanted:
                    break
                behind = self._behind(racing, number + 1)
                racing = [runner for runner in racing if runner not in behind]
        return wanted

    @cached_property
    def probabilities(self) -> dict[int, float]:
        """How likely each finalist is the best of them, in [0, 1], by its number; empty where that cannot be told.

        The scores of a finalist are taken for draws from a normal distribution with a mean of its own and a variance
        that all finalists share, with the usual prior without information (flat for the means and for the logarithm of
        the variance). Then a mean given the scores has Student's t distribution around their mean, with the pooled
        deviation. A finalist that diverged is not the best. It cannot be told for a single finalist, before each has
        two scores, or if no two scores of a finalist differ.
        """
        samples = {number: np.array(self.scored(number)) for number in self.finalists}
        samples = {number: scores for number, scores in samples.items() if not np.isneginf(scores).any()}
        counts = np.array([len(scores) for scores in samples.values()])
        if len(self.finalists) < 2 or not len(counts) or min(counts) < 2:
            return {}
        squares = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in samples.values())
        if squares <= _ROUNDING**2:
            return {}
        random = np.random.default_rng(0)
        deviations = np.sqrt(squares / random.chisquare(sum(counts - 1), (DRAWS, 1)))
        middles = np.array([scores.mean() for scores in samples.values()])
        means = middles + deviations / np.sqrt(counts) * random.standard_normal((DRAWS, len(counts)))
        wins = np.bincount(means.argmax(axis=1), minlength=len(counts)) / DRAWS
        return dict.fromkeys(self.finalists, 0.0) | dict(zip(samples, wins.tolist(), strict=True))

    def _is_open(self, run: Run, given_up: Collection[Run]) -> bool:
        """Whether a run is still to be done: it has not ended, or has failed."""
        return math.isnan(self._score(*run)) and run not in given_up

    def _score(self, number: int, each: int) -> float:
        """A trial's score in a round; `FAILED` without one."""
        return self.scores.get(number, {}).get(each, FAILED)

    def _exits(self) -> Iterator[tuple[int, Collection[int]]]:
        """After how many rounds some finalists left, and which, for each such round that all who were in have ended."""
        racing = list(self.finalists)
        for rounds in count(1):
            if any(rounds - 1 not in self.scores.get(number, {}) for number in racing) or len(racing) < 2:
                return
            if behind := self._behind(racing, rounds):
                yield rounds, behind
                racing = [number for number in racing if number not in behind]

    def _behind(self, racing: Sequence[int], rounds: int) -> list[int]:
        """Which of those in the race leave it after so many rounds: see `is_behind`."""
        if rounds < ROUNDS_TO_DECIDE:
            return []
        scores = np.array([[self._score(number, each) for each in range(rounds)] for number in racing])
        return [number for number, behind in zip(racing, is_behind(scores), strict=True) if behind]


def is_behind(scores: NDArray[np.float64], level: float = LEVEL) -> NDArray[np.bool_]:
    """Which configurations are behind the leader, the one with the highest mean, by more than chance explains.

    A paired t-test: a configuration's scores minus the leader's, seed by seed. The deviation is pooled over all
    configurations: that of the scores from what the configuration's mean and the seed's mean explain, with (K - 1)(R -
    1) degrees of freedom, as in a two-way analysis of variance. Seeds under which a run failed are left out. A
    configuration that diverged under one is behind.

    Args:
        scores: score of each configuration under each seed, see `FAILED` and `DIVERGED` [K, R].
        level: one-sided level of the test.

    Returns:
        Whether it is behind; nobody is if all diverged [K].
    """
    diverged = np.isneginf(scores).any(axis=1)
    behind = np.zeros(len(scores), dtype=np.bool_)
    behind[diverged] = not diverged.all()
    steady = scores[~diverged]
    steady = steady[:, ~np.isnan(steady).any(axis=0)]
    configurations, seeds = steady.shape
    if min(configurations, seeds) < 2:
        return behind
    means = steady.mean(axis=1)
    residuals = steady - means[:, None] - steady.mean(axis=0) + steady.mean()
    degrees_of_freedom = (configurations - 1) * (seeds - 1)
    error = math.sqrt(2 / seeds * float((residuals**2).sum()) / degrees_of_freedom)
    behind[~diverged] = means.max() - means > float(stdtrit(degrees_of_freedom, 1 - level)) * error + _ROUNDING
    return behind
