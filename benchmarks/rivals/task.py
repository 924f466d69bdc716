"""The task that every program gets, and the log where it notes its epochs."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from search_spaces import SearchSpace, load

SLOTS = 2
"""Trials at once without a GPU."""

FACTOR = 2
"""Reduction factor of halving: of so many trials one goes on."""


@dataclass(frozen=True)
class Task:
    """A search to run.

    Attributes:
        data: folder of the prepared data set.
        space: name of the search space, or path of its file.
        seed: seed of the sampler and of training.
        trials: number of trials after which the search ends.
        epochs: number of epochs of a trial that is not stopped early.
        log: file where every epoch is noted, one JSON object per line.
        folder: folder for other files of the search.
        slots: number of trials at once.
        gpus: share of a GPU that each of them gets; only `here` and `ray_tune` train on one.
        cohort: number of trials that a worker of this project trains together, as in `--cohort`.
    """

    data: str
    space: str
    seed: int
    trials: int
    epochs: int
    log: str
    folder: str
    slots: int = SLOTS
    gpus: float = 0.0
    cohort: int | str = 1

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Writes the task for another process."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @property
    def searched(self) -> SearchSpace:
        """The search space."""
        return load(self.space)

    def note(self, **what: object) -> None:
        """Adds a line with the time to the log; several processes may do so at once."""
        line = json.dumps({"at": time.time(), **what}) + "\n"
        with Path(self.log).open("ab", buffering=0) as log:
            log.write(line.encode())
