"""When a search is over."""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from results.snapshot import in_order_of_end


@dataclass(frozen=True)
class StopRules:
    """What ends a search; whichever comes first. None sets no bound.

    Attributes:
        trials: number of trials.
        budget: seconds of wall time, over all the times it was started.
        gpu_hours: time of trials, each counted with its share of a GPU, in hours.
        patience: trials that ended without a better result than the best before them.
        gpus: of a trial.
    """

    trials: int | None = None
    budget: float | None = None
    gpu_hours: float | None = None
    patience: int | None = None
    gpus: float = 0.0

    def time_is_up(self, wall: float, trained: float) -> str:
        """Why even running trials are to stop; empty while they may go on.

        Args:
            wall: seconds the search has run.
            trained: seconds its trials have.
        """
        if self.budget is not None and wall >= self.budget:
            return f"budget of {describe_seconds(self.budget)} used up"
        if self.gpu_hours is not None and trained * self.gpus >= 3600 * self.gpu_hours:
            return f"{self.gpu_hours:g} GPU hours used up"
        return ""

    def no_more(self, asked: int, ended: Sequence[FrozenTrial]) -> str:
        """Why no further trial is to start; empty while one is.

        Args:
            asked: trials handed out so far.
            ended: those of them that ended, in any order.
        """
        if self.trials is not None and asked >= self.trials:
            return f"all {self.trials} trials run"
        if self.patience is not None and since_best(ended) >= self.patience:
            return f"no better result in {self.patience} trials"
        return ""


def since_best(ended: Sequence[FrozenTrial]) -> int:
    """How many trials ended after the best complete one."""
    since, best = 0, -1.0
    for trial in in_order_of_end(ended):
        since += 1
        if trial.state == TrialState.COMPLETE and trial.value is not None and trial.value > best:
            since, best = 0, trial.value
    return since


def describe_seconds(seconds: float) -> str:
    """A duration in the largest unit that keeps it whole."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
