"""Checkpoints of trials: what a trial saves to go on after an interruption, and which are deleted when it has ended."""

import hashlib
import io
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from optuna.trial import FrozenTrial

from results.ranking import rank_trials
from results.run_folder import RunFolder
from san_core.errors import InputError
from san_core.folds import FoldedTraining
from san_core.hardware import is_out_of_memory
from san_core.training import EpochResult, Training
from tuning.execution.checkpoint_files import CheckpointFiles
from tuning.study.study import Study

SECONDS_BETWEEN = float(os.environ.get("SAN_CHECKPOINT_SECONDS", "10"))
"""Seconds between two checkpoints of a trial, and so the training time that an interruption may cost.

Saving more often would slow small trials down.
"""


class DamagedCheckpointError(Exception):
    """A checkpoint that cannot be used."""


class ReadsAndWrites(Protocol):
    """Where checkpoints are, as bytes by the trial's number: a folder, or the driver's run folder from another node."""

    def read(self, number: int) -> bytes | None:
        """A trial's checkpoint; None if there is none."""

    def write(self, number: int, content: bytes | memoryview) -> None:
        """Replaces a trial's checkpoint; never leaves a part of one."""


class Checkpoints:
    """The newest checkpoint of each trial of a study: weights, optimizer state, epoch and the results of all epochs.

    The results of earlier epochs are needed where the machine lost power: a checkpoint is on the disk then, but the
    journal may lack the last lines that were written before it.

    Args:
        place: a path, a URI of any file system that pyarrow knows (`s3://`, `gs://`, `hdfs://`), or what reads and
            writes them.

    Raises:
        InputError: if there is no such file system.
    """

    def __init__(self, place: str | ReadsAndWrites) -> None:
        self._files: ReadsAndWrites = CheckpointFiles(place) if isinstance(place, str) else place

    def save(self, number: int, training: Training | FoldedTraining, results: Sequence[EpochResult]) -> None:
        """Saves a trial's checkpoint; the file appears only when it is complete, and on the disk if that is local."""
        self.save_state(number, training.state_dict(), results)

    def save_state(self, number: int, training: dict[str, Any], results: Sequence[EpochResult]) -> None:
        """The same of what `Training.state_dict` returned."""
        state = io.BytesIO()
        torch.save({"training": training, "results": [asdict(result) for result in results]}, state)
        self._files.write(number, state.getbuffer())

    def load(self, number: int, training: Training | FoldedTraining) -> list[EpochResult]:
        """Restores training from the trial's checkpoint; returns the results of its epochs, none without a checkpoint.

        Raises:
            DamagedCheckpointError: if the checkpoint cannot be used; `training` cannot be used then either.
        """
        return self.restore(number, training.device, training.load_state_dict)

    def restore(
        self, number: int, device: torch.device, restore_training: Callable[[dict[str, Any]], object]
    ) -> list[EpochResult]:
        """Restores a trial from its checkpoint.

        Args:
            number: of the trial.
            device: where its tensors go.
            restore_training: function that takes what `Training.state_dict` returned.

        Returns:
            The results of its epochs, of the last one alone if an earlier version saved it; none without a checkpoint.

        Raises:
            DamagedCheckpointError: if the file is cut off or holds anything else.
        """
        content = self._files.read(number)
        if content is None:
            return []
        try:
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            results = [EpochResult(**result) for result in state.get("results") or [state["result"]]]
            restore_training(state["training"])
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise DamagedCheckpointError(f"its checkpoint is damaged ({type(error).__name__})") from error
        return results


def checkpoint_folder(run: RunFolder, study_name: str) -> str:
    """Path or URI of a study's checkpoints: in the run folder, or in a folder of their own in the search's storage."""
    storage = run.settings.get("storage")
    if storage is None:
        return str((run.checkpoints / study_name).resolve())
    path, started = run.path.resolve(), run.settings.get("started", "")
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)
    unique = hashlib.sha256(f"{path} {started}".encode()).hexdigest()[:8]
    return f"{storage.rstrip('/')}/{readable}-{unique}/{study_name}"


class OldCheckpoints:
    """The checkpoints of a study's ended trials that are no longer needed: all but those of the best trials.

    Args:
        checkpoints: checkpoints of the study.
        study: the study.
        keep: number of best trials that keep their checkpoint, see `results.ranking`.
    """

    def __init__(self, checkpoints: CheckpointFiles, study: Study, keep: int) -> None:
        self._checkpoints = checkpoints
        self._study = study
        self._keep = keep
        self._seen = 0
        self._best: list[FrozenTrial] = []

    def delete(self) -> None:
        """Deletes the old checkpoints; only trials that ended since the last call are looked at."""
        new = self._study.ended[self._seen :]
        candidates = [*self._best, *new]
        self._best = rank_trials(candidates)[: self._keep]
        self._checkpoints.delete({trial.number for trial in candidates} - {trial.number for trial in self._best})
        self._seen += len(new)


class CheckpointTimer:
    """Says when it is time to save a trial's next checkpoint."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether enough time has passed since the start, or since it was last due."""
        if time.monotonic() - self._last < SECONDS_BETWEEN:
            return False
        self._last = time.monotonic()
        return True


def check_storage(folder: str | None) -> None:
    """Checks that checkpoints can be written to a folder; None is accepted, since it means the run folder.

    Raises:
        InputError: if they cannot; the message says why.
    """
    if folder is None:
        return
    if "://" not in folder and not Path(folder).is_absolute():
        raise InputError(f"--storage must be an absolute path or a URI that all nodes reach, but got {folder!r}")
    checkpoints = CheckpointFiles(folder)
    try:
        checkpoints.check_writable()
    except OSError as error:
        raise InputError(f"--storage {folder} cannot be written: {error}") from error
