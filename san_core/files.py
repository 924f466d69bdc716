"""Reads the user's files, with one-line errors. All such files are opened here."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from san_core.errors import InputError


def is_file(path: Path) -> bool:
    """Whether there is such a file; False also for an invalid name or missing permission."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False also for an invalid name or missing permission."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_bytes(path: Path) -> bytes:
    """Reads a file.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_large_text(path: Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 file, which may be larger than memory; bytes that are not UTF-8 become U+FFFD.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def sha256(path: Path) -> str:
    """Returns the SHA-256 hash of a file, in hexadecimal.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def sync(path: Path) -> None:
    """Waits until the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def find(root: Path, names: list[str], what: str) -> Path:
    """Finds the first of `names` in `root` or in one of its folders.

    Args:
        root: folder to look in.
        names: file or folder names, the most likely first.
        what: description of what is searched for, used in the error.

    Raises:
        InputError: if none is found; the message lists the names.
    """
    found = find_or_none(root, names)
    if found is None:
        raise InputError(f"{root} holds no {what}; accepted, there or in a folder of it: {', '.join(names)}")
    return found


def find_or_none(root: Path, names: list[str]) -> Path | None:
    """Like `find`, but returns None if none is found.

    Raises:
        InputError: if `root` is not a folder, or cannot be read.
    """
    if not is_folder(root):
        raise InputError(f"{root} is not a folder")
    try:
        folders = [root, *sorted(path for path in root.iterdir() if is_folder(path))]
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error.strerror}") from error
    candidates = (folder / name for name in names for folder in folders)
    return next((path for path in candidates if is_file(path) or is_folder(path)), None)
