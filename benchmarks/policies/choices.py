"""The score of a trial, and how a search chooses one configuration in the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from results.race import DIVERGED, Race
from san_core.errors import InputError

_Scores = NDArray[np.float64]
_WINDOW = 3


def mean_of_3(scores: _Scores) -> _Scores:
    """The highest mean of three epochs in a row [...] of curves [..., epochs]; of all epochs if there are fewer."""
    width = min(_WINDOW, scores.shape[-1])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(scores, width, axis=-1).mean(axis=-1).max(axis=-1))


SCORES: dict[str, Callable[[_Scores], _Scores]] = {
    "best": lambda scores: np.asarray(scores.max(axis=-1)),
    "mean-of-3": mean_of_3,
    "last": lambda scores: np.asarray(scores[..., -1]),
}
"""The score of a trial, from its scores after each epoch; a search takes the best epoch."""


@dataclass(frozen=True)
class Pick:
    """What a search chose.

    Attributes:
        configuration: number of the configuration.
        claimed: the score that the search says it has, in [0, 1].
        runs: trainings under fresh seeds that the choice took.
    """

    configuration: int
    claimed: float
    runs: int = 0


@dataclass(frozen=True)
class Choice:
    """How one of a search's complete trials is chosen.

    Attributes:
        name: `best` for the best score of the search; `top-KxN` for the best mean of the best K configurations under N
            fresh seeds each; `race-KxN` for a race of the best K, which takes at most K * N trainings.
        finalists: K; 1 for `best`.
        seeds: N; 0 for `best`.
    """

    name: str
    finalists: int = 1
    seeds: int = 0

    @classmethod
    def of(cls, name: str) -> Self:
        """Reads a name.

        Raises:
            InputError: if it is none.
        """
        kind, _, numbers = name.partition("-")
        finalists, _, seeds = numbers.partition("x")
        if name == "best":
            return cls(name)
        if kind in ("top", "race") and finalists.isdecimal() and seeds.isdecimal() and int(finalists) * int(seeds):
            return cls(name, int(finalists), int(seeds))
        raise InputError(f"unknown choice {name!r}; accepted: best, top-KxN, race-KxN with whole numbers K, N >= 1")

    @property
    def most_runs(self) -> int:
        """Trainings under fresh seeds that it takes at most; so many are kept back from a search's budget."""
        return self.finalists * self.seeds

    def pick(self, ranked: Sequence[int], claimed: float, fresh: _Scores) -> Pick:
        """Chooses one of the configurations that a search has trained to the end.

        Args:
            ranked: the configurations, the best first.
            claimed: the score of the first in the search.
            fresh: the score of every configuration under each fresh seed, 0 where it diverged [C, fresh seeds].
        """
        finalists = ranked[: self.finalists]
        if not self.seeds:
            return Pick(ranked[0], claimed)
        if self.name.startswith("race"):
            return _race(finalists, self.seeds, fresh)
        means = fresh[finalists, : self.seeds].mean(axis=1)
        best = int(means.argmax())
        return Pick(finalists[best], float(means[best]), runs=len(finalists) * self.seeds)


def _race(finalists: Sequence[int], seeds: int, fresh: _Scores) -> Pick:
    """The winner of a race; it ends earlier if there are no more fresh seeds."""
    scores: dict[int, dict[int, float]] = {number: {} for number in finalists}
    race = Race(finalists, scores)
    while runs := race.next_runs(seeds):
        if max(number for _, number in runs) >= fresh.shape[1]:
            break
        for configuration, number in runs:
            scores[configuration][number] = float(fresh[configuration, number]) or DIVERGED
        race = Race(finalists, scores)
    runs_done = sum(len(found) for found in scores.values())
    if race.winner is None:  # all have diverged
        return Pick(finalists[0], 0.0, runs_done)
    return Pick(race.winner, race.mean(race.winner), runs_done)
