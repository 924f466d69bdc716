"""Failed trials: which of them a resumed search runs again, and the same failure in a row."""

import re
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from results.run_folder import IS_BASELINE, REPEATS, SEED, is_own, repeats
from tuning.study.first_trials import waiting_trial

IN_A_ROW = 3
"""A search ends after at least so many trials in a row that failed for the same reason."""


def trials_to_repeat(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """New trials that run failed ones again, with their parameters and seeds: first the baseline, then by number.

    What failed may have been the machine, a disk or a network, so every failed trial gets another chance each time that
    its search is resumed.

    Args:
        trials: all trials of the search, by number. One that was run again already is left out.
    """
    again = repeats(trials)
    failed = [t for t in trials if t.state == TrialState.FAIL and is_own(t) and t.params and t.number not in again]
    failed.sort(key=lambda trial: IS_BASELINE not in trial.user_attrs)
    kept = (IS_BASELINE, SEED)
    return [
        waiting_trial(
            trial.params,
            {REPEATS: trial.number} | {name: trial.user_attrs[name] for name in kept if name in trial.user_attrs},
        )
        for trial in failed
    ]


class FailuresInARow:
    """Counts trials in a row that failed for the same reason, with no epoch of any trial between them."""

    def __init__(self) -> None:
        self._reason = ""
        self._count = 0

    def add(self, reason: str) -> None:
        """Counts a failed trial. Too little memory of a GPU is not counted, since it depends on the trial's sizes."""
        if "out of memory" in reason:
            return
        self._count = self._count + 1 if _without_numbers(reason) == _without_numbers(self._reason) else 1
        self._reason = reason

    def clear(self) -> None:
        """A trial has trained."""
        self._count = 0

    def describe(self, at_once: int) -> str:
        """What failed, if as many trials failed as run at once, and at least `IN_A_ROW`; else empty."""
        if self._count < max(IN_A_ROW, at_once):
            return ""
        return f"{self._count} trials in a row failed: {self._reason}"


def _without_numbers(reason: str) -> str:
    return re.sub(r"\d+", "", reason)
