"""How long a trial is, and when it is first compared with others."""

from dataclasses import dataclass
from math import ceil

STEPS_TO_FIRST_RUNG = 100
"""Training steps after which a score says something: the pruner `tolerant` compares trials no earlier."""


def first_rung(steps: int, epochs: int) -> int:
    """The first epoch after which the pruner `tolerant` compares trials.

    Args:
        steps: training steps of an epoch, >= 1.
        epochs: of a trial, >= 1.
    """
    return min(ceil(STEPS_TO_FIRST_RUNG / steps), epochs)


@dataclass(frozen=True)
class Lengths:
    """How long a trial is that is not stopped early, and when it is first compared.

    Attributes:
        epochs: on each fold, >= 1.
        folds: number of folds, >= 1; 1 for none.
        first_rung: see `first_rung`.
    """

    epochs: int
    folds: int = 1
    first_rung: int = 1

    @property
    def all_epochs(self) -> int:
        """Epochs on all folds together."""
        return self.epochs * self.folds

    @property
    def fold_epochs(self) -> int | None:
        """Epochs on each fold; None without folds."""
        return self.epochs if self.folds > 1 else None
