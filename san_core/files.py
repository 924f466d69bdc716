"""The one place that opens users' files: another file system would be let in here."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from san_core.errors import InputError


def is_file(path: Path) -> bool:
    """Whether there is such a file; also False where the name is impossible or may not be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; also False where the name is impossible or may not be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_bytes(path: Path) -> bytes:
    """A file's content.

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
    """A UTF-8 file's lines one by one, for files larger than memory; what is not UTF-8 becomes U+FFFD.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def digest(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def sync(path: Path) -> None:
    """Returns when a file's content is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def find(root: Path, names: list[str], what: str) -> Path:
    """The first of `names` that lies in `root` or in a folder of it.

    Args:
        root: folder to look in.
        names: file or folder names, the likelier first.
        what: what is looked for, for the error.

    Raises:
        InputError: if there is none; the message lists the names.
    """
    found = look_for(root, names)
    if found is None:
        raise InputError(f"{root} holds no {what}; accepted, there or in a folder of it: {', '.join(names)}")
    return found


def look_for(root: Path, names: list[str]) -> Path | None:
    """As `find`, but None where there is nothing.

    Raises:
        InputError: if `root` is not a folder, or may not be looked into.
    """
    if not is_folder(root):
        raise InputError(f"{root} is not a folder")
    try:
        folders = [root, *sorted(path for path in root.iterdir() if is_folder(path))]
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error.strerror}") from error
    candidates = (folder / name for name in names for folder in folders)
    return next((path for path in candidates if is_file(path) or is_folder(path)), None)
