"""Pruners: which trials go on after an epoch.

A decision depends only on the scores in the journal, so a resumed search makes the same decisions.
"""

from bisect import bisect_right, insort
from collections.abc import Callable
from functools import cache
from math import ceil

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from results.run_folder import DIVERGED, is_own

_REDUCTION_FACTOR = 2
"""A rung is an epoch after which trials are compared. At each rung the best 1/2 of the trials goes on."""

_Rungs = dict[tuple[int, int], list[float]]
"""Scores of trials, ascending, by the bracket and the epoch's number."""


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

    A pruner serves one study: it reads the journal only at the first decision. After that it has to be told of scores,
    by `add_score` or by being asked about their trial. So a decision takes the same time in a long search.

    Args:
        brackets: number of brackets, >= 1.

    Raises:
        ValueError: if `brackets` is less than 1.
    """

    def __init__(self, *, brackets: int = 1) -> None:
        if brackets < 1:
            raise ValueError(f"brackets must be >= 1, but got {brackets}")
        self._brackets = brackets
        self._rungs: _Rungs = {}
        self._has_read = False  # the journal, which the first decision does
        self._last_epochs: dict[int, int] = {}  # of each trial, the last epoch whose score is in `_rungs`

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to stop after the last epoch it reported.

        Raises:
            ValueError: if the study does not maximise.
        """
        if study.direction != StudyDirection.MAXIMIZE:
            raise ValueError(f"the study's direction must be maximize, but got {study.direction.name.lower()}")
        epoch, bracket = trial.last_step, bracket_of(trial.number, self._brackets)
        if epoch is None or not _is_rung(epoch, first=_REDUCTION_FACTOR**bracket):
            return False
        if not self._has_read:
            self._read(study)
        for each in sorted(trial.intermediate_values):
            self.add_score(trial.number, each, trial.intermediate_values[each])
        scores = self._rungs[bracket, epoch]
        promoted = max(1, len(scores) // _REDUCTION_FACTOR)  # how many go on; `scores` includes the trial's own
        better = len(scores) - bisect_right(scores, trial.intermediate_values[epoch])
        return better >= promoted

    def add_score(self, number: int, epoch: int, score: float) -> None:
        """Tells of a score in the journal, which others are compared with. Scores of diverged epochs are left out.

        Args:
            number: of the trial.
            epoch: after which it has the score; a trial's epochs must be told in order.
            score: in [0, 1].
        """
        if self._has_read and epoch > self._last_epochs.get(number, 0):
            self._last_epochs[number] = epoch
            insort(self._rungs.setdefault((bracket_of(number, self._brackets), epoch), []), score)

    def _read(self, study: optuna.Study) -> None:
        """Reads the scores of all trials in the journal; a trial has none for the epoch in which it diverged."""
        self._has_read = True
        for trial in study.get_trials(deepcopy=False):
            if is_own(trial):
                for epoch, score in sorted(trial.intermediate_values.items()):
                    if not (DIVERGED in trial.user_attrs and epoch == trial.last_step):
                        self.add_score(trial.number, epoch, score)


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
        rung = 1
        while rung <= epoch:
            rung *= _REDUCTION_FACTOR
        return min(rung, epochs)
    return epochs if isinstance(pruner, optuna.pruners.NopPruner) else min(epoch + 1, epochs)


PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "halving": lambda _: SuccessiveHalving(),
    "hyperband": lambda epochs: SuccessiveHalving(brackets=epochs.bit_length()),
    "median": lambda _: optuna.pruners.MedianPruner(n_startup_trials=5),
    "none": lambda _: optuna.pruners.NopPruner(),
}
"""Functions that make a pruner, by its name in `--pruner`; the argument is the number of epochs of a trial."""
