"""A trial as an experiment tracker sees it: what Ray's logger callbacks need of a trial of Ray Tune."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ray.tune.experiment import Trial

INTERRUPTED = "interrupted"
"""State, in a tracker, of a trial that has not ended and can be resumed."""


@dataclass(eq=False)
class TrackedTrial:
    """Stands for a trial of Ray Tune, with the attributes that Ray's logger callbacks read.

    Unlike a trial of Tune it has the same `trial_id` when the search is resumed, and its configuration has nothing that
    a tracker cannot log.

    Attributes:
        title: name of the trial.
        config: number, parameters and seed.
        experiment_dir_name: name of the run.
        local_path: folder for its files.
        trial_id: id that stays the same when the search is resumed, and differs from that of every other trial.
        evaluated_params: configuration, `state` (as reports call it) and `reason` of a trial that has ended.
    """

    title: str
    config: dict[str, Any]
    experiment_dir_name: str
    local_path: str
    trial_id: str
    evaluated_params: dict[str, Any] = field(default_factory=dict)

    def init_local_path(self) -> None:
        """Creates the folder for its files."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True)
class TrackedStudy:
    """A study as a tracker sees it.

    Attributes:
        folder: folder of the tracker's files.
        run: name of the run.
        name: name of the study.
        started: time at which the search was first started; it distinguishes runs of the same name.
    """

    folder: Path
    run: str
    name: str
    started: str

    def trial(self, number: int, settings: Mapping[str, Any]) -> Trial:
        """The trial with a number and training settings, as a trial for Ray's logger callbacks."""
        title = f"{self.name}-{number:04d}"
        trial = TrackedTrial(
            title=title,
            config={"trial": number, **settings},
            experiment_dir_name=self.run,
            local_path=str((self.folder / title).resolve()),
            trial_id=hashlib.sha256(f"{self.run} {self.started} {title}".encode()).hexdigest()[:16],
        )
        return cast(Trial, trial)
