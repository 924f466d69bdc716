"""Ranks the trials of a search. Progress, notifications, reports and retraining all use this rule."""

from collections.abc import Iterable

from optuna.trial import FrozenTrial, TrialState

from results.run_folder import DIVERGED, is_own


def can_be_best(trial: FrozenTrial) -> bool:
    """Whether a trial can be ranked first: this search trained it, it is complete and it did not diverge."""
    return is_own(trial) and trial.state == TrialState.COMPLETE and DIVERGED not in trial.user_attrs


def rank_trials(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that can be the best, ordered by score, the highest first, and then by number, the lowest first.

    The number decides between equal scores because it does not depend on which trial happened to end first.
    """
    return sorted(filter(can_be_best, trials), key=lambda trial: (-(trial.value or 0.0), trial.number))


def best_trial(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The first of `rank_trials`; None if no trial can be the best."""
    return next(iter(rank_trials(trials)), None)
