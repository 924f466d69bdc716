"""A trial while it runs, what it reports, and one that was interrupted."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial


@dataclass
class LiveTrial:
    """A trial that was started and has not ended.

    Attributes:
        trial: the trial in Optuna's study.
        seed: seed of the trial's training.
        scores: score of each epoch so far, by the epoch's number.
        seconds: time spent on training and scoring, including epochs before an interruption.
        worker: description of where the trial runs: node and GPU or process.
        stop_reason: reason why the trial was told to stop early; empty while it may go on.
        out_of_time: whether a bound on time is that reason, so that the trial can go on later.
        diverged: reason why training diverged; empty if it has not.
        own_order: whether the order of batches and dropout follow from the trial's own seed.
    """

    trial: optuna.Trial
    seed: int
    scores: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = ""
    stop_reason: str = ""
    out_of_time: bool = False
    diverged: str = ""
    own_order: bool = False

    @property
    def epochs(self) -> int:
        """The last epoch that was recorded; 0 before the first."""
        return max(self.scores, default=0)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The training settings in which trials differ: the parameters and the seeds."""
        order = {"order_seed": self.seed} if self.own_order else {}
        return {**self.trial.params, "seed": self.seed, **order}


@dataclass(frozen=True)
class Epoch:
    """What a trial reports after an epoch.

    Attributes:
        number: number of the epoch, >= 1.
        score: score on the validation split, in [0, 1].
        seconds: time spent on training and scoring in all epochs so far.
        diverged: reason why training diverged; empty if it did not.
        worker: description of where the epoch ran: node and GPU or process.
        loss: mean training loss of the epoch, in nats; None if it was not measured.
        examples_per_second: training questions over the epoch's time, scoring included; None if it was not measured.
        note: what the user is to be told of the trial; empty if nothing.
        by_question: scores on single questions of the validation split, see `san_core.question_scores`; empty if they
            were not kept.
    """

    number: int
    score: float
    seconds: float
    diverged: str = ""
    worker: str = ""
    loss: float | None = None
    examples_per_second: float | None = None
    note: str = ""
    by_question: str = ""


class InterruptedTrial(NamedTuple):
    """A trial that was interrupted and is to go on.

    Attributes:
        trial: the trial as it was when it was interrupted.
        by_earlier_end: whether it was interrupted because the search ended; False if only its worker failed.
    """

    trial: FrozenTrial
    by_earlier_end: bool
