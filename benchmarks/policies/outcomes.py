"""What searches pick in a simulation, for each policy and repetition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.policies.choices import SCORES, Choice
from benchmarks.policies.curves import Curves
from benchmarks.policies.replay import Replayed, drawn, make_pruner, replay


@dataclass(frozen=True)
class Plan:
    """What is simulated.

    Attributes:
        file: of recorded runs.
        scores, choices: names of the scores of a trial, and of the final choices.
        budgets: of a search and its final choice together, in full trainings.
        fresh: number of seeds that are fresh: the same for all configurations, and not used in the search.
        at_once: trials that run at once.
        seed: of all that is random.
    """

    file: Path
    scores: tuple[str, ...]
    choices: tuple[Choice, ...]
    budgets: tuple[int, ...]
    fresh: int
    at_once: int
    seed: int

    @property
    def searches(self) -> list[tuple[str, Choice, int]]:
        """Score, choice and budget of each policy; without those whose budget leaves too little for the search.

        As many trials as run at once can be trained to their end in any search that is simulated.
        """
        every = product(self.scores, self.choices, self.budgets)
        return [each for each in every if each[2] - each[1].most_runs >= self.at_once]


@dataclass(frozen=True)
class Part:
    """Repetitions that one process replays for one pruner."""

    plan: Plan
    pruner: str
    repetitions: range


@dataclass(frozen=True)
class Outcome:
    """What a repetition of a policy came to.

    Attributes:
        regret: the best true score of all configurations minus that of the picked one.
        optimism: the score that the search says the pick has, minus its true score.
        trials: that the search started.
        confirmation: epochs of the final choice.
    """

    regret: float
    optimism: float
    trials: int
    confirmation: int


Outcomes = NDArray[np.float64]
"""Fields of `Outcome` [policies, repetitions, fields]."""


def simulate_part(part: Part) -> tuple[Part, Outcomes]:
    """The outcomes of some repetitions for each of `Plan.searches`, and which repetitions they are."""
    curves = _read(part.plan.file)
    found = [list(_repetition(curves, part.plan, part.pruner, repetition)) for repetition in part.repetitions]
    return part, np.array(found).transpose(1, 0, 2)


_read = cache(Curves.read)


def _repetition(curves: Curves, plan: Plan, pruner: str, repetition: int) -> Iterator[tuple[float, ...]]:
    """The outcome of each of `Plan.searches` in one repetition, whose trials are the same for all pruners."""
    rng = np.random.default_rng([plan.seed, repetition])
    seeds = [int(seed) for seed in rng.permutation(curves.seeds)]
    fresh, searched = seeds[: plan.fresh], seeds[plan.fresh :]
    epochs = curves.lengths.epochs
    longest = max(budget - choice.most_runs for _, choice, budget in plan.searches) * epochs
    order = drawn(rng, len(curves.runs), searched)
    trials = replay(curves, make_pruner(pruner, curves.lengths), order, epochs=longest, at_once=plan.at_once)
    scores = {name: SCORES[name](curves.scores) for name in plan.scores}
    for score, choice, budget in plan.searches:
        found = outcome_of(curves, trials, scores[score], choice, (budget - choice.most_runs) * epochs, fresh)
        yield tuple(getattr(found, field.name) for field in fields(Outcome))


def outcome_of(  # noqa: PLR0913
    curves: Curves,
    trials: Sequence[Replayed],
    scores: NDArray[np.float64],
    choice: Choice,
    epochs: int,
    fresh: Sequence[int],
) -> Outcome:
    """The outcome of a search that is the beginning of a replayed one, and of its final choice.

    Args:
        curves: recorded curves.
        trials: of the replayed search.
        scores: score of each run as a trial [C, S].
        choice: the final choice.
        epochs: that the trials of the search train.
        fresh: the fresh seeds.
    """
    best: dict[int, float] = {}  # of each configuration that was trained to its end
    for trial in trials:
        if trial.complete and trial.ended <= epochs:
            score = float(scores[trial.configuration, trial.seed])
            best[trial.configuration] = max(score, best.get(trial.configuration, 0.0))
    ranked = sorted(best, key=lambda configuration: -best[configuration])
    pick = choice.pick(ranked, best[ranked[0]], scores[:, list(fresh)])
    truth = float(curves.truth[pick.configuration])
    return Outcome(
        regret=float(curves.truth.max()) - truth,
        optimism=pick.claimed - truth,
        trials=sum(trial.started < epochs for trial in trials),
        confirmation=pick.runs * curves.lengths.epochs,
    )
