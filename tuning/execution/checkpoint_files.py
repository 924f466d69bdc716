"""The files of checkpoints, in a folder of any file system that pyarrow knows. Does not import torch."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from pyarrow import fs

from san_core.errors import InputError
from san_core.files import make_folder, sync, sync_folder


class CheckpointFiles:
    """A folder with the newest checkpoint of each trial of a study, as bytes.

    Args:
        folder: a path, or a URI of any file system that pyarrow knows (`s3://`, `gs://`, `hdfs://`).

    Raises:
        InputError: if there is no such file system.
    """

    def __init__(self, folder: str) -> None:
        self._system, self._folder = _file_system(folder)
        self._is_local = isinstance(self._system, fs.LocalFileSystem)

    def write(self, number: int, content: bytes | memoryview) -> None:
        """Writes a trial's checkpoint; the file appears only when it is complete, and on the disk if that is local.

        Raises:
            OSError: if it cannot be written; the one before is kept.
        """
        if self._is_local:
            make_folder(Path(self._folder), exist_ok=True)
        else:
            self._system.create_dir(self._folder)
        partial = f"{self._path(number)}.partial"
        try:
            with self._system.open_output_stream(partial) as file:
                file.write(content)
            if self._is_local:
                sync(Path(partial))
        except OSError:
            with contextlib.suppress(OSError):
                self._system.delete_file(partial)  # the disk may be full
            raise
        self._system.move(partial, self._path(number))
        if self._is_local:
            sync_folder(Path(self._folder))

    def read(self, number: int) -> bytes | None:
        """A trial's checkpoint; None if there is none."""
        try:
            with self._system.open_input_file(self._path(number)) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def check_writable(self) -> None:
        """Writes an empty file, and deletes it.

        Raises:
            OSError: if that cannot be done.
        """
        path = f"{self._folder}/.writable"
        self._system.create_dir(self._folder)
        with self._system.open_output_stream(path) as file:
            file.write(b"")
        self._system.delete_file(path)

    def delete(self, numbers: Iterable[int]) -> None:
        """Deletes the checkpoints of trials, if there are any."""
        for number in numbers:
            for path in (self._path(number), f"{self._path(number)}.partial"):
                if self._system.get_file_info(path).type != fs.FileType.NotFound:
                    self._system.delete_file(path)

    def _path(self, number: int) -> str:
        return f"{self._folder}/trial-{number:04d}.pt"


def _file_system(folder: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path in it."""
    try:
        system, path = fs.FileSystem.from_uri(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoints cannot go to {folder!r}: {error}; accepted: a folder, or a URI") from error
    return system, path
