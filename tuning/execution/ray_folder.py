"""Chooses the folder for Ray's sockets and logs on this machine: one that can be written, with a short path."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from san_core.errors import InputError

_LONGEST_SOCKET = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/dash_TaskEventsHead")
"""Bytes that Ray adds to its folder in the path of a socket."""

DEFAULT = Path("/tmp/ray")
"""Ray's folder unless a variable names another."""

_MOST_BYTES = (103 if sys.platform == "darwin" else 107) - _LONGEST_SOCKET - len("/ray")
"""Longest path of the folder that Ray's is in: the path of a socket has at most 107 bytes, on macOS 103."""


def ray_folder() -> Path:
    """The folder for Ray: inside the one that RAY_TMPDIR or TMPDIR names if sockets fit there, else in /tmp.

    If another user's /tmp/ray cannot be written, it is a folder that has this user's number in its name.

    Raises:
        InputError: if the folder that RAY_TMPDIR names, or else all of them, cannot be made or written; the message
            names them.
    """
    for variable, folder in _named_folders():
        if not _fits(folder):
            continue
        if not (reason := _why_not(folder)):
            return folder
        if variable == "RAY_TMPDIR":
            raise InputError(
                f"RAY_TMPDIR is {folder.parent}, but Ray cannot write {folder}: {reason}; accepted: a folder that you "
                "can write, or no RAY_TMPDIR, for /tmp"
            )
    return _folder_in_tmp()


def folder_notice(folder: Path) -> str:
    """The line that says why Ray's folder is not where RAY_TMPDIR or TMPDIR says; empty if it is, or both are unset."""
    for variable, named in _named_folders():
        if named == folder:
            return ""
        why = (
            "cannot be written" if _fits(named) else f"is longer than the {_MOST_BYTES} bytes that Ray's sockets allow"
        )
        return f"Ray's sockets and logs are in {folder}, because {variable} {why}"
    return ""


def _named_folders() -> Iterator[tuple[str, Path]]:
    for variable in ("RAY_TMPDIR", "TMPDIR") if sys.platform == "linux" else ("RAY_TMPDIR",):
        if value := os.environ.get(variable):
            yield variable, Path(value).expanduser().absolute() / DEFAULT.name


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder.parent)) <= _MOST_BYTES


def _folder_in_tmp() -> Path:
    own = DEFAULT.with_name(f"{DEFAULT.name}-{os.getuid()}")
    reasons = []
    for folder in (DEFAULT, own):
        reason = _why_not(folder)
        if folder == own and not reason and folder.stat().st_uid != os.getuid():
            reason = "another user made it"
        if not reason:
            return folder
        reasons.append(f"{folder} ({reason})")
    raise InputError(
        f"Ray can write neither {' nor '.join(reasons)}; set RAY_TMPDIR to a folder that you can write, whose path has "
        f"at most {_MOST_BYTES} bytes"
    )


def _why_not(folder: Path) -> str:
    """Why Ray cannot use a folder, which is made if it is not there; empty if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written"
