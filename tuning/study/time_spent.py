"""The time that a search has used, over all the times it was started."""

import time

import optuna
from optuna.trial import FrozenTrial

from results.run_folder import SECONDS, is_own

SECONDS_BETWEEN = 1.0
"""The wall time is recorded at most so often: Optuna copies all of a study's attributes each time."""


class TimeSpent:
    """Seconds that a search has used. The journal keeps them, so that its bounds hold when it is resumed.

    Args:
        study: Optuna's study.

    Attributes:
        trained: training time of all trials that the search trained itself.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._wall_before = float(study.user_attrs.get(SECONDS, 0.0))
        self._started = time.monotonic()
        self._recorded = 0.0
        self.trained = sum(map(trained_seconds, filter(is_own, study.get_trials(deepcopy=False))))

    def wall(self) -> float:
        """Wall time so far."""
        return self._wall_before + time.monotonic() - self._started

    def add_trained(self, seconds: float) -> None:
        """Adds training time."""
        self.trained += seconds

    def record(self) -> None:
        """Writes the wall time to the journal."""
        self._recorded = self.wall()
        self._study.set_user_attr(SECONDS, round(self._recorded, 3))

    def record_now_and_then(self) -> None:
        """The same, unless that was done less than `SECONDS_BETWEEN` ago."""
        if self.wall() - self._recorded >= SECONDS_BETWEEN:
            self.record()


def trained_seconds(trial: optuna.Trial | FrozenTrial) -> float:
    """Training time of a trial that has ended or was stopped, in seconds; 0 of others."""
    return float(trial.user_attrs.get(SECONDS, 0.0))
