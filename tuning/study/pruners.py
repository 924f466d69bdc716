"""Pruners: which trials go on after an epoch.

A decision depends only on the scores in the journal, so a resumed search makes the same decisions.
"""

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
"""Scores of trials, by the bracket and the epoch's number."""


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

    A pruner serves one study, since it reads the scores of ended trials only once.

    Args:
        brackets: number of brackets, >= 1.

    Raises:
        ValueError: if `brackets` is less than 1.
    """

    def __init__(self, *, brackets: int = 1) -> None:
        if brackets < 1:
            raise ValueError(f"brackets must be >= 1, but got {brackets}")
        self._brackets = brackets
        self._ended: _Rungs = {}
        self._next = 0  # number of the first trial whose scores are not in `_ended` yet

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
        score, scores = trial.intermediate_values[epoch], self._scores(study, bracket, epoch)
        promoted = max(1, len(scores) // _REDUCTION_FACTOR)  # how many go on; `scores` includes the trial's own
        better = sum(other > score for other in scores)
        return better >= promoted

    def _scores(self, study: optuna.Study, bracket: int, epoch: int) -> list[float]:
        """Scores of the bracket's trials after an epoch, from the journal."""
        trials = study.get_trials(deepcopy=False)
        while self._next < len(trials) and trials[self._next].state.is_finished():
            self._add_scores(trials[self._next], self._ended)
            self._next += 1
        later: _Rungs = {}  # of the first trial that has not ended and of all after it, ended or not
        for trial in trials[self._next :]:
            self._add_scores(trial, later)
        return self._ended.get((bracket, epoch), []) + later.get((bracket, epoch), [])

    def _add_scores(self, trial: FrozenTrial, rungs: _Rungs) -> None:
        """Adds a trial's scores; it has none for the epoch in which it diverged."""
        if not is_own(trial):
            return
        for epoch, score in trial.intermediate_values.items():
            if not (DIVERGED in trial.user_attrs and epoch == trial.last_step):
                rungs.setdefault((bracket_of(trial.number, self._brackets), epoch), []).append(score)


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
