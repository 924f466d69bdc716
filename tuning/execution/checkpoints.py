"""What a trial puts aside to go on after an interruption."""

import hashlib
import io
import os
import re
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pyarrow import fs

from results.run_folder import RunFolder
from san_core.errors import InputError
from san_core.training import EpochResult, Training

SECONDS_BETWEEN = float(os.environ.get("SAN_CHECKPOINT_SECONDS", "10"))
"""Training time an interruption may cost; putting aside more often would slow small trials down."""


class Checkpoints:
    """Where the trials of a study put their newest state aside: weights, optimizer, epoch and its result.

    Args:
        place: a folder's path, or the URI of one on any file system pyarrow knows (`s3://`, `gs://`, `hdfs://`).

    Raises:
        InputError: if there is no such file system.
    """

    def __init__(self, place: str) -> None:
        self._system, self._folder = _system_of(place)

    def save(self, number: int, training: Training, result: EpochResult) -> None:
        """Puts a trial's state aside; the file appears only when it is whole."""
        state = io.BytesIO()
        torch.save({"training": training.state_dict(), "result": asdict(result)}, state)
        self._system.create_dir(self._folder)
        partial = f"{self._path(number)}.partial"
        try:
            with self._system.open_output_stream(partial) as file:
                file.write(state.getbuffer())
        except OSError:
            self._system.delete_file(partial)  # a full disk needs the room
            raise
        self._system.move(partial, self._path(number))

    def load(self, number: int, training: Training) -> EpochResult | None:
        """Takes training back to where it was put aside; returns that epoch's result, None if it never was."""
        state = self.read(number, training.device)
        if state is None:
            return None
        training.load_state_dict(state["training"])
        return EpochResult(**state["result"])

    def read(self, number: int, device: torch.device) -> dict[str, Any] | None:
        """What `save` put aside; None if it never did."""
        try:
            with self._system.open_input_file(self._path(number)) as file:
                content = io.BytesIO(file.read())
        except FileNotFoundError:
            return None
        state: dict[str, Any] = torch.load(content, map_location=device, weights_only=True)
        return state

    def delete(self, numbers: Iterable[int]) -> None:
        """Deletes the states of trials, if there are any."""
        for number in numbers:
            for path in (self._path(number), f"{self._path(number)}.partial"):
                if self._system.get_file_info(path).type != fs.FileType.NotFound:
                    self._system.delete_file(path)

    def _path(self, number: int) -> str:
        return f"{self._folder}/trial-{number:04d}.pt"


def checkpoint_place(run: RunFolder, study_name: str) -> str:
    """Where a study's checkpoints are: in the run folder, or in a folder of its own in the search's storage."""
    storage = run.settings.get("storage")
    if storage is None:
        return str((run.checkpoints / study_name).resolve())
    path, started = run.path.resolve(), run.settings.get("started", "")
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)
    unique = hashlib.sha256(f"{path} {started}".encode()).hexdigest()[:8]
    return f"{storage.rstrip('/')}/{readable}-{unique}/{study_name}"


class Clock:
    """Says when a trial's state is due to be put aside again."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether enough time has passed since the start, or since it was last due."""
        if time.monotonic() - self._last < SECONDS_BETWEEN:
            return False
        self._last = time.monotonic()
        return True


def check_storage(place: str | None) -> None:
    """Refuses a place that checkpoints cannot be written to.

    Raises:
        InputError: saying why.
    """
    if place is None:
        return
    if "://" not in place and not Path(place).is_absolute():
        raise InputError(f"--storage must be an absolute path or a URI that all nodes reach, but got {place!r}")
    system, folder = _system_of(place)
    try:
        system.create_dir(folder)
        with system.open_output_stream(f"{folder}/.writable") as file:
            file.write(b"")
        system.delete_file(f"{folder}/.writable")
    except OSError as error:
        raise InputError(f"--storage {place} cannot be written: {error}") from error


def _system_of(place: str) -> tuple[fs.FileSystem, str]:
    try:
        system, folder = fs.FileSystem.from_uri(place)
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoints cannot go to {place!r}: {error}; accepted: a folder, or a URI") from error
    return system, folder
