"""Pruners: which trials go on after an epoch.

A decision depends only on the scores in the journal, so a resumed search makes the same decisions.
"""

import sys
from bisect import bisect_right, insort
from collections.abc import Callable
from functools import cache
from math import ceil

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from results.run_folder import BY_QUESTION, DIVERGED, is_own
from san_core.question_scores import QuestionScores
from tuning.study.lengths import Lengths

_REDUCTION_FACTOR = 2
"""A rung is an epoch after which trials are compared. At each rung the best 1/2 of the trials goes on."""

_Rungs = dict[tuple[int, int], list[tuple[float, int]]]
"""Scores of trials with their numbers, ascending, by the bracket and the epoch's number."""


class SuccessiveHalving(optuna.pruners.BasePruner):
    """Stops the worse half of the trials after 1, 2, 4, ... epochs (asynchronous successive halving).

    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. The epochs 1, 2, 4, ... are called
    rungs. At a rung, a trial is compared with all trials that have reported that epoch so far.

    Scores are maximised. `Trial.should_prune` must be called after every epoch, when its score is reported with the
    number of the epoch, from 1 on, as `step`: a rung at which it is not called stops no trial.

    `optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)` makes the same decisions, but first
    writes into the journal which rungs a trial has passed. If a search is killed between the two, the decision is lost.

    With several brackets it is Hyperband (Li et al., JMLR 2018): the trials of bracket b are compared among themselves,
    for the first time after 2^b epochs, so that some trials cannot be stopped by a comparison that comes too early.

    With a tolerance, a trial of the worse half goes on as well if chance explains why it is behind: if it is behind the
    worst trial of the better half by no more than so many standard errors of their difference. The difference is taken
    question by question, as in a paired test (Birattari et al., A Racing Algorithm for Configuring Metaheuristics,
    GECCO 2002, race configurations by such tests). Without scores on single questions the tolerance is 0.

    A pruner serves one study: it reads the journal only at the first decision. After that it has to be told of scores,
    by `add_score` or by being asked about their trial. So a decision takes the same time in a long search.

    Args:
        brackets: number of brackets, >= 1.
        first: the first rung, an epoch >= 1; the next are twice, four times, ... as far.
        fold_epochs: epochs on each fold, >= 1, of trials that are trained on one fold after the other: the rungs are
            those of the first fold, and the last epoch of each fold; None for trials without folds.
        tolerance: standard errors, >= 0; None for none.

    Raises:
        ValueError: if `brackets` or `first` is less than 1.
    """

    def __init__(
        self, *, brackets: int = 1, first: int = 1, fold_epochs: int | None = None, tolerance: float | None = None
    ) -> None:
        if brackets < 1:
            raise ValueError(f"brackets must be >= 1, but got {brackets}")
        if first < 1:
            raise ValueError(f"first must be >= 1, but got {first}")
        self._brackets, self._first, self._tolerance = brackets, first, tolerance
        self._fold_epochs = fold_epochs
        self._rungs: _Rungs = {}
        self._by_question: dict[tuple[int, int], str] = {}  # by a trial's number and the epoch's
        self._has_read = False  # the journal, which the first decision does
        self._last_epochs: dict[int, int] = {}  # of each trial, the last epoch whose score is in `_rungs`

    @property
    def compares_questions(self) -> bool:
        """Whether decisions depend on scores on single questions."""
        return self._tolerance is not None

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to stop after the last epoch it reported.

        Raises:
            ValueError: if the study does not maximise.
        """
        if study.direction != StudyDirection.MAXIMIZE:
            raise ValueError(f"the study's direction must be maximize, but got {study.direction.name.lower()}")
        epoch, bracket = trial.last_step, bracket_of(trial.number, self._brackets)
        if epoch is None or not self.is_rung(epoch, trial.number):
            return False
        if not self._has_read:
            self._read(study)
        self._add_scores(trial)
        scores, score = self._rungs[bracket, epoch], trial.intermediate_values[epoch]
        promoted = max(1, len(scores) // _REDUCTION_FACTOR)  # how many go on; `scores` includes the trial's own
        better = len(scores) - bisect_right(scores, (score, sys.maxsize))
        return better >= promoted and not self._is_chance(trial.number, epoch, score, scores[-promoted])

    def is_rung(self, epoch: int, number: int) -> bool:
        """Whether the trial with this number is compared with others after an epoch."""
        if self._fold_epochs is not None and epoch >= self._fold_epochs:
            return epoch % self._fold_epochs == 0
        return _is_rung(epoch, self._first * _REDUCTION_FACTOR ** bracket_of(number, self._brackets))

    def next_rung(self, epoch: int) -> int:
        """The first epoch after `epoch` that is a rung of some trial."""
        rung = self._first
        while rung <= epoch:
            rung *= _REDUCTION_FACTOR
        if self._fold_epochs is not None and rung > self._fold_epochs:
            return (epoch // self._fold_epochs + 1) * self._fold_epochs
        return rung

    def add_score(self, number: int, epoch: int, score: float, by_question: str = "") -> None:
        """Tells of a score in the journal, which others are compared with. Scores of diverged epochs are left out.

        Args:
            number: of the trial.
            epoch: after which it has the score; a trial's epochs must be told in order.
            score: in [0, 1].
            by_question: scores on single questions, see `san_core.question_scores`; empty if there are none.
        """
        if self._has_read and epoch > self._last_epochs.get(number, 0):
            self._last_epochs[number] = epoch
            insort(self._rungs.setdefault((bracket_of(number, self._brackets), epoch), []), (score, number))
            if by_question:
                self._by_question[number, epoch] = by_question

    def _is_chance(self, number: int, epoch: int, score: float, other: tuple[float, int]) -> bool:
        """Whether chance explains that a trial is behind another one after an epoch."""
        their_score, their_number = other
        ours, theirs = (self._by_question.get((trial, epoch)) for trial in (number, their_number))
        if self._tolerance is None or ours is None or theirs is None:
            return False
        error = QuestionScores.from_text(ours).standard_error(QuestionScores.from_text(theirs))
        return their_score - score <= self._tolerance * error

    def _read(self, study: optuna.Study) -> None:
        """Reads the scores of all trials in the journal; a trial has none for the epoch in which it diverged."""
        self._has_read = True
        for trial in study.get_trials(deepcopy=False):
            if is_own(trial):
                self._add_scores(trial)

    def _add_scores(self, trial: FrozenTrial) -> None:
        for epoch, score in sorted(trial.intermediate_values.items()):
            if not (DIVERGED in trial.user_attrs and epoch == trial.last_step):
                self.add_score(trial.number, epoch, score, trial.user_attrs.get(f"{BY_QUESTION}{epoch}", ""))


def bracket_of(number: int, brackets: int) -> int:
    """The bracket, in [0, brackets), of the trial with this number.

    The trials of each bracket together train about the same number of epochs. So bracket 0, whose trials may be stopped
    earliest, has the most trials.
    """
    order = _bracket_order(brackets)
    return order[number % len(order)]


@cache
def _bracket_order(brackets: int) -> list[int]:
    """The brackets of successive trials, in a fixed random order that repeats."""
    order = np.repeat(range(brackets), [_bracket_size(bracket, brackets) for bracket in range(brackets)])
    return [int(bracket) for bracket in np.random.default_rng(0).permutation(order)]


def _bracket_size(bracket: int, brackets: int) -> int:
    """How many trials of one round belong to a bracket.

    Algorithm 1 of Hyperband (Li et al., JMLR 2018): n = ceil((s_max + 1) / (s + 1) * eta^s). Here eta is the reduction
    factor and s_max + 1 the number of brackets. The paper numbers the brackets from s_max down to 0; here that is from
    0 up.
    """
    s = brackets - 1 - bracket
    size: int = ceil(brackets * _REDUCTION_FACTOR**s / (s + 1))
    return size


def _is_rung(epoch: int, first: int) -> bool:
    """Whether trials are compared after an epoch: first, first * 2, first * 4, ..."""
    rung = first
    while rung < epoch:
        rung *= _REDUCTION_FACTOR
    return rung == epoch


def next_decision(pruner: optuna.pruners.BasePruner, epoch: int, epochs: int) -> int:
    """The first epoch after `epoch` at which a pruner may stop trials; at most `epochs`, a trial's last."""
    if isinstance(pruner, SuccessiveHalving):
        return min(pruner.next_rung(epoch), epochs)
    return epochs if isinstance(pruner, optuna.pruners.NopPruner) else min(epoch + 1, epochs)


TOLERANCE = 1.0
"""Standard errors by which a trial may be behind the better half under the pruner `tolerant`."""

PRUNERS: dict[str, Callable[[Lengths], optuna.pruners.BasePruner]] = {
    "halving": lambda of: SuccessiveHalving(fold_epochs=of.fold_epochs),
    "tolerant": lambda of: SuccessiveHalving(first=of.first_rung, fold_epochs=of.fold_epochs, tolerance=TOLERANCE),
    "hyperband": lambda of: SuccessiveHalving(brackets=of.epochs.bit_length(), fold_epochs=of.fold_epochs),
    "median": lambda _: optuna.pruners.MedianPruner(n_startup_trials=5),
    "none": lambda _: optuna.pruners.NopPruner(),
}
"""Functions that make a pruner for trials of some length, by its name in `--pruner`."""
