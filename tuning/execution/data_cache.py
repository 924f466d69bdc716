"""Copies of prepared data on this machine, each made once, in a folder named by the fingerprint of the data."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from san_core.command_line import print_message
from san_core.data.partial_folder import lock
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.files import make_folder, name_folder

VARIABLE = "SAN_DATA_CACHE"
"""Environment variable with the folder for copies of data."""


def cache_folder() -> Path:
    """The folder of this machine for copies of data.

    It is the one that `SAN_DATA_CACHE` names, else one in the user's folder for caches, else one in the folder for
    temporary files.

    Raises:
        OSError: if none can be written.
    """
    if chosen := os.environ.get(VARIABLE):
        return _made(Path(chosen).expanduser())
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    try:
        return _made(caches / "san-tuner" / "data")
    except OSError:
        return _made(Path(tempfile.gettempdir()) / f"san-tuner-{os.getuid()}")


def _made(folder: Path) -> Path:
    make_folder(folder, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written")
    return folder


def whole_data(folder: Path, fingerprint: str) -> PreparedData | None:
    """The data in a folder, if they have the fingerprint and no file is missing or damaged."""
    try:
        found = PreparedData.open(folder)
        if found.fingerprint == fingerprint:
            found.check()
            return found
    except InputError:
        pass
    return None


def cached_data(fingerprint: str, place: str, copy_to: Callable[[Path], object]) -> PreparedData:
    """This machine's copy of prepared data, which is made first if there is none.

    Of several processes one copies, and the others wait for it. A copy has its name only when it is complete, and on
    the disk. What a process that died has left is deleted.

    Args:
        fingerprint: of the data.
        place: where the data come from, for messages.
        copy_to: function that copies all files into a folder, which is there.

    Raises:
        OSError: if the disk is full, or the copy cannot be written.
        InputError: if there is too little room, or what was copied is not complete, or other data.
    """
    copy = cache_folder() / fingerprint
    with lock(copy, on_wait=lambda: print_message(f"waiting for another process, which copies the data to {copy}")):
        if found := whole_data(copy, fingerprint):
            return found
        shutil.rmtree(copy, ignore_errors=True)
        partial = copy.with_name(f".{copy.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            copy_to(partial)
            _check_copy(partial, fingerprint, place)
            name_folder(partial, copy)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return PreparedData.open(copy)


def check_room(folder: Path, size: int) -> None:
    """Checks that files of `size` bytes together fit on the disk of a folder.

    Raises:
        InputError: if they do not.
    """
    if size > (free := shutil.disk_usage(folder).free):
        raise InputError(
            f"they have {size / 2**20:.0f} MiB, but {folder.parent} has {free / 2**20:.0f} MiB free; accepted: more "
            f"room, or another folder, which {VARIABLE} names in the environment (on a node, that of `ray start`)"
        )


def _check_copy(partial: Path, fingerprint: str, place: str) -> None:
    """Checks that a copy is complete, and of the right data.

    Raises:
        InputError: if it is not.
    """
    try:
        data = PreparedData.open(partial)
        data.check()
    except InputError as error:
        raise InputError(str(error).replace(str(partial.resolve()), place).replace(str(partial), place)) from error
    if data.fingerprint != fingerprint:
        raise InputError(f"they have changed meanwhile in {place}")
