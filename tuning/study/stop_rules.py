"""The rules that end a search."""

from collections.abc import Iterable
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from results.snapshot import in_order_of_end


@dataclass(frozen=True)
class StopRules:
    """The bounds of a search, which ends at the first that it reaches. None sets no bound.

    Attributes:
        trials: number of trials.
        budget: wall time in seconds, over all the times the search was started.
        gpu_hours: training time of all trials, each counted with its share of a GPU, in hours.
        patience: number of trials in a row that end without a better score.
        gpus: share of a GPU that a trial has.
    """

    trials: int | None = None
    budget: float | None = None
    gpu_hours: float | None = None
    patience: int | None = None
    gpus: float = 0.0

    def time_stop_reason(self, wall: float, trained: float) -> str:
        """Why running trials are to stop after their epoch; empty while they may go on.

        Args:
            wall: seconds the search has run.
            trained: training time of all its trials in seconds.
        """
        if self.budget is not None and wall >= self.budget:
            return f"budget of {describe_seconds(self.budget)} used up"
        if self.gpu_hours is not None and trained * self.gpus >= 3600 * self.gpu_hours:
            return f"{self.gpu_hours:g} GPU hours used up"
        return ""

    def trials_stop_reason(self, started: int, since_best: int) -> str:
        """Why no further trial is to start; empty while one may.

        Args:
            started: number of trials so far, running or ended.
            since_best: number of trials that ended after the best one, see `SinceBest`.
        """
        if self.trials is not None and started >= self.trials:
            return f"all {self.trials} trials run"
        if self.patience is not None and since_best >= self.patience:
            return f"no better result in {self.patience} trials"
        return ""


class SinceBest:
    """Counts the trials that ended after the first complete one with the best score.

    Args:
        ended: trials that ended, in any order.

    Attributes:
        count: the number; all of them if none is complete.
    """

    def __init__(self, ended: Iterable[FrozenTrial] = ()) -> None:
        self.count, self._best = 0, -1.0
        for trial in in_order_of_end(ended):
            self.add(trial)

    def add(self, trial: FrozenTrial) -> None:
        """Counts a trial that ended after all others."""
        self.count += 1
        if trial.state == TrialState.COMPLETE and trial.value is not None and trial.value > self._best:
            self.count, self._best = 0, trial.value


def describe_seconds(seconds: float) -> str:
    """A duration in the largest unit in which it is a whole number."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{round(seconds) if seconds >= 10 else seconds:g} s"
