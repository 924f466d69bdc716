"""`python -m tuning.execution.remote_copy URI [FOLDER]`: lists the files at a URI, or copies them into a folder.

`tuning.execution.remote_data` runs it as a process of its own: a file system's library may wait for many minutes, or
end the whole process, as Azure's does without credentials. Imports nothing of this project, so that it starts quickly.
"""

import json
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from pyarrow import ArrowException, fs

MANIFEST = "manifest.json"

PIECE = 8 * 2**20
"""Bytes that are read at once."""

AHEAD = 8
"""Pieces that are read at the same time: a single connection to an object store is slow."""


def list_files(system: fs.FileSystem, folder: str) -> dict[str, int]:
    """Bytes of each file of a folder, by its name. Folders in it, and files that begin with a dot, are left out.

    Raises:
        FileNotFoundError: if there is no such folder.
        OSError: if it cannot be read.
    """
    found = system.get_file_info(fs.FileSelector(folder))
    return {
        str(info.base_name): int(info.size)
        for info in found
        if info.type == fs.FileType.File and not info.base_name.startswith(".")
    }


def copy_files(system: fs.FileSystem, folder: str, to: Path) -> None:
    """Copies the files of a folder into another that is empty.

    Raises:
        OSError: if a file cannot be read or written, or is there already.
    """
    with ThreadPoolExecutor(AHEAD) as pool:

        def start(name: str, offset: int) -> "Future[bytes]":
            return pool.submit(_read, system, f"{folder}/{name}", offset)

        for name, size in list_files(system, folder).items():
            with (to / name).open("xb") as file:
                for content in _pieces(name, size, start):
                    file.write(content)


def _pieces(name: str, size: int, start: Callable[[str, int], "Future[bytes]"]) -> Iterator[bytes]:
    """The pieces of a file, in order; the next ones are read meanwhile."""
    wanted, under_way = iter(range(0, size, PIECE)), deque["Future[bytes]"]()
    while True:
        under_way.extend(start(name, offset) for offset in islice(wanted, AHEAD - len(under_way)))
        if not under_way:
            return
        yield under_way.popleft().result()


def _read(system: fs.FileSystem, path: str, offset: int) -> bytes:
    with system.open_input_file(path) as file:
        return bytes(file.read_at(PIECE, offset))


def _end_with_parent() -> None:
    """Ends this process when the one that started it has died: then its end of the pipe is closed."""
    while os.read(0, 1):  # sys.stdin would be locked meanwhile, and Python could not end
        pass
    os._exit(1)


def _answer(uri: str, to: Path | None) -> None:
    system, folder = fs.FileSystem.from_uri(uri)
    folder = folder.rstrip("/")
    if to:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        copy_files(system, folder, to)
        return
    files = list_files(system, folder)
    manifest = _read(system, f"{folder}/{MANIFEST}", 0).decode() if MANIFEST in files else None
    sys.stdout.write(json.dumps({"files": files, "manifest": manifest}) + "\n")


def main() -> None:
    """Writes files and manifest as JSON, or copies the files; an error is one line, and the exit code 2."""
    uri, *to = sys.argv[1:]
    try:
        _answer(uri, Path(to[0]) if to else None)
    except (OSError, ValueError, NotImplementedError, ImportError, ArrowException) as error:
        sys.stderr.write(f"{_in_one_line(error)}\n")
        sys.stderr.flush()
        os._exit(2)  # threads that read may wait for long


def _in_one_line(error: Exception) -> str:
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return re.sub(r" \(Request ID: \w+\)|\.? Detail: \[errno.*", "", text)[:400]


if __name__ == "__main__":
    main()
