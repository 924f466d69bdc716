"""Reads and finds files, with one-line errors; all files of the user are opened here.

Writes files and folders that are whole whenever they have their name, even after a power cut.
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from san_core.errors import InputError
from san_core.file_kinds import LFS_POINTER, kind_of_content, mistaken_path, why_missing


def is_file(path: Path) -> bool:
    """Whether there is such a file; False also for an invalid name or missing permission."""
    try:
        return path.is_file()
    except OSError:
        return False


def exists(path: Path) -> bool:
    """Whether there is anything at a path; False also for an invalid name or missing permission."""
    try:
        return path.exists()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False also for an invalid name or missing permission."""
    try:
        return path.is_dir()
    except OSError:
        return False


def from_home(text: str) -> str:
    """A path with the home folder in the place of a leading `~` or `~USER`; another text as it is.

    A shell does the same, but not in `--run=~/x`, and nothing does in Python.

    Raises:
        InputError: if no such home folder is known.
    """
    found = os.path.expanduser(text)  # noqa: PTH111 - a URI stays as it is
    if found.startswith("~"):
        raise InputError(f"the home folder that {text!r} begins with is not known; accepted also: ./{text}")
    return found


def path_from_home(path: str | Path) -> Path:
    """The same as a path. `./~x`, which pathlib makes `~x` of, becomes absolute, since it may be given on."""
    found = Path(from_home(str(path)))
    return found.absolute() if found.parts[:1] and found.parts[0].startswith("~") else found


def shown(path: Path) -> str:
    """What to print for a file or folder: what can be typed for it in the current folder, as short as possible."""
    here = Path.cwd()
    if not path.is_relative_to(here) or path == here:
        return str(path)
    short = str(path.relative_to(here))
    return short if "/" in short else f"./{short}"  # a run without a slash would be one under runs/


def read_bytes(path: Path) -> bytes:
    """Reads a file.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    with _reading(path):
        content = path.read_bytes()
    _check_fetched(path, content)
    return content


def read_start(path: Path, length: int) -> bytes:
    """Reads the first bytes of a file.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    with _reading(path), path.open("rb") as file:
        start = file.read(max(length, len(LFS_POINTER)))
    _check_fetched(path, start)
    return start[:length]


def _check_fetched(path: Path, start: bytes) -> None:
    """Refuses the pointer that Git leaves in the place of a file that Git LFS has not fetched."""
    if start.startswith(LFS_POINTER):
        raise InputError(f"{path} is {kind_of_content(start)}")


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
    return sha256_and_start(path, 0)[0]


def sha256_and_start(path: Path, length: int) -> tuple[str, bytes]:
    """Returns the SHA-256 hash of a file, in hexadecimal, and its first `length` bytes.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    with _reading(path), path.open("rb") as file:
        start = file.read(length)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest(), start


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns an error of reading a file into one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path} {why_missing(path)}") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} cannot be read: it is a folder; accepted: a file") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        InputError: if the file is missing or damaged.
    """
    text = read_bytes(path)
    if not text.strip(b"\0 \r\n"):
        raise InputError(f"cannot read {path}: it is empty, as a power cut may leave a file; accepted: a JSON object")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"cannot read {path}: it holds {type(content).__name__}, accepted: a JSON object")
    if not can_be_written(json.dumps(content, ensure_ascii=False)):
        raise InputError(f"cannot read {path}: it holds half of a surrogate pair (such as \\ud800), which is no text")
    return content


def can_be_written(text: str) -> bool:
    """Whether a text can be written to a file: JSON may hold halves of surrogate pairs, which UTF-8 cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object to a file, see `write_atomically`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, see `write_atomically`."""
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_atomically(path: Path, write_to: Callable[[Path], object]) -> None:
    """Lets `write_to` write a temporary file beside `path`, which is then renamed to `path`.

    A reader sees the old file or the whole new one, never a part, also after a power cut: the content is on the disk
    before the file gets its name, and the name is when this returns. If it fails, the temporary file is deleted.

    The file has the mode that the umask gives, also if `write_to` replaces the temporary file by one of another mode,
    as safetensors does.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        write_to(partial)
        if partial.stat().st_mode != mode:
            partial.chmod(mode)
        sync(partial)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def make_folder(path: Path, *, exist_ok: bool = False) -> None:
    """Makes a folder, and those above it that are missing, and waits until all of them are on the disk.

    Raises:
        FileExistsError: if something exists there already; with `exist_ok` a folder may.
        OSError: if it cannot be made.
    """
    missing = [folder for folder in (path, *path.absolute().parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=exist_ok)
    for folder in missing:
        sync_folder(folder.parent)


def name_folder(partial: Path, path: Path) -> None:
    """Renames a folder to `path`, where nothing is yet, once all files in it are on the disk."""
    for entry in (*partial.rglob("*"), partial):
        if entry.is_dir():
            sync_folder(entry)
        else:
            sync(entry)
    partial.rename(path)
    sync_folder(path.parent)


def sync(path: Path) -> None:
    """Waits until the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Waits until the names of the files in a folder are on the disk, where the file system can do that.

    Raises:
        OSError: if the disk is full or fails.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # network and FUSE file systems refuse it in many ways
        if error.errno in {errno.EIO, errno.ENOSPC, errno.EDQUOT}:
            raise


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
        raise InputError(f"{root} {mistaken_path(root) or 'is not a folder'}")
    try:
        folders = [root, *sorted(path for path in root.iterdir() if is_folder(path))]
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error.strerror}") from error
    candidates = (folder / name for name in names for folder in folders)
    return next((path for path in candidates if is_file(path) or is_folder(path)), None)
