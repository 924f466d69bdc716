"""A trial as an experiment tracker sees it, and where a tracker keeps its files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ray.tune.experiment import Trial

INTERRUPTED = "interrupted"
"""State of a trial that a search left to be resumed."""


@dataclass(eq=False)
class TrialLog:
    """What Ray's integrations ask a trial of Tune for, without what of it no tracker can log.

    Attributes:
        title: its name.
        config: its hyperparameters, seed and number.
        experiment_dir_name: name of the run.
        local_path: folder for its files.
        trial_id: the same whenever the search goes on, and no other trial's.
        evaluated_params: once it has ended, its configuration with `state`, in the words of reports, and `reason`.
    """

    title: str
    config: dict[str, Any]
    experiment_dir_name: str
    local_path: str
    trial_id: str
    evaluated_params: dict[str, Any] = field(default_factory=dict)

    def init_local_path(self) -> None:
        """Makes the folder for its files."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True)
class Place:
    """Where a study's trials are tracked.

    Attributes:
        folder: of the tracker's files.
        run: name of the run.
        study: name of the study.
        begun: when the search was started; tells runs of one name apart.
    """

    folder: Path
    run: str
    study: str
    begun: str

    def log_of(self, number: int, settings: Mapping[str, Any]) -> Trial:
        """A new log of the trial of that number, which is a trial as far as loggers look."""
        title = f"{self.study}-{number:04d}"
        log = TrialLog(
            title=title,
            config={"trial": number, **settings},
            experiment_dir_name=self.run,
            local_path=str((self.folder / title).resolve()),
            trial_id=hashlib.sha256(f"{self.run} {self.begun} {title}".encode()).hexdigest()[:16],
        )
        return cast(Trial, log)
