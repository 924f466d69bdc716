"""Which trials may go on: decided from the scores alone, so that a resumed search decides as it would have."""

from collections.abc import Callable
from functools import cache

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from results.run_folder import is_own

_FACTOR = 2
"""Successive halving lets one in so many go on."""


class SuccessiveHalving(optuna.pruners.BasePruner):
    """After 1, 2, 4, ... epochs only the better half goes on (asynchronous successive halving).

    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. A trial competes with all that
    reported the same epoch before it. Optuna's pruner of that name decides alike but notes its decisions in the
    journal; where a search is killed between note and decision, the decision would be lost.

    With several brackets it is Hyperband (Li et al., JMLR 2018): the trials of bracket b compete among themselves,
    and for the first time after 2^b epochs, so that some are safe from a verdict that comes too early.

    It serves one study, and is asked after every epoch of every trial.

    Args:
        brackets: how many, >= 1.
    """

    def __init__(self, *, brackets: int = 1) -> None:
        self._brackets = brackets
        self._rungs: dict[tuple[int, int], dict[int, float]] | None = None

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to stop after the last epoch it reported."""
        epoch, bracket = trial.last_step, bracket_of(trial.number, self._brackets)
        if epoch is None or not _is_rung(epoch, first=_FACTOR**bracket):
            return False
        score = trial.intermediate_values[epoch]
        if self._rungs is None:
            self._rungs = self._rungs_of(study)
        rung = self._rungs.setdefault((bracket, epoch), {})
        rung[trial.number] = score
        better = sum(other > score for other in rung.values())
        return better >= max(1, len(rung) // _FACTOR)

    def _rungs_of(self, study: optuna.Study) -> dict[tuple[int, int], dict[int, float]]:
        """The scores that the journal has of each bracket and epoch, by trial; looked through once, then kept up."""
        rungs: dict[tuple[int, int], dict[int, float]] = {}
        for trial in filter(is_own, study.get_trials(deepcopy=False)):
            for epoch, score in trial.intermediate_values.items():
                rungs.setdefault((bracket_of(trial.number, self._brackets), epoch), {})[trial.number] = score
        return rungs


def bracket_of(number: int, brackets: int) -> int:
    """The bracket of the trial of a number, in [0, brackets).

    Brackets cost about the same: that of the fewest safe epochs has the most trials.
    """
    pattern = _pattern(brackets)
    return pattern[number % len(pattern)]


@cache
def _pattern(brackets: int) -> list[int]:
    """Brackets of one round of trials: ceil(n 2^(n-1-b) / (n-b)) of bracket b (Hyperband's rule), mixed."""
    counts = [-(-brackets * _FACTOR ** (brackets - 1 - b) // (brackets - b)) for b in range(brackets)]
    return list(np.random.default_rng(0).permutation(np.repeat(range(brackets), counts)).tolist())


def _is_rung(epoch: int, first: int) -> bool:
    rung = first
    while rung < epoch:
        rung *= _FACTOR
    return rung == epoch


PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "halving": lambda _: SuccessiveHalving(),
    "hyperband": lambda epochs: SuccessiveHalving(brackets=epochs.bit_length()),
    "median": lambda _: optuna.pruners.MedianPruner(n_startup_trials=5),
    "none": lambda _: optuna.pruners.NopPruner(),
}
"""The pruners by name, for trials of so many epochs."""
