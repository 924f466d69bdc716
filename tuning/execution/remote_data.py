"""Prepared data at a URI of any file system that pyarrow knows, and this machine's copy of them."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from san_core.command_line import print_message
from san_core.data.prepared import FORMAT, MANIFEST, PreparedData
from san_core.data.progress_bar import progress_bar
from san_core.errors import InputError
from tuning.execution.data_cache import cache_folder, cached_data, check_room, whole_data

SECONDS_TO_ANSWER = 120
"""Seconds after which a file system that does not answer is given up; Google's would be asked for 15 minutes."""

SECONDS_BETWEEN = 0.5
"""Seconds between two looks at how far a copy is."""

_ACCEPTED = "accepted: s3://BUCKET/FOLDER, or gs://, abfs://, hdfs:// or file:///FOLDER"

Tell = Callable[[int, int], object]
"""Function that is called with the bytes that have been copied so far, and all bytes."""


def is_uri(place: str) -> bool:
    """Whether a text is a URI, and no path or name."""
    return "://" in place


def check_uri(uri: str) -> None:
    """Checks a URI as far as that is possible without its file system.

    Raises:
        InputError: if it has spaces, or a password, which would be recorded in the run folder.
    """
    if uri.split() != [uri]:
        raise InputError(f"--data {uri!r} is not a URI, since it has spaces; accepted: %20 in their place")
    user, _, _ = urlsplit(uri).netloc.rpartition("@")
    if ":" in user:
        raise InputError(
            f"--data {urlsplit(uri).scheme}://... has a password, which would be recorded with the search; accepted: "
            "without it, and the credentials where the file system's own programs find them, as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment"
        )


def last_name(uri: str) -> str:
    """The last folder that a URI names."""
    parts = urlsplit(uri)
    return Path(f"{parts.netloc}/{parts.path}").name


@dataclass(frozen=True)
class _Found:
    """What is at a URI.

    Attributes:
        fingerprint: of the data.
        size: bytes of all their files.
    """

    fingerprint: str
    size: int


def data_at(uri: str, fingerprint: str | None = None, tell: Tell | None = None) -> PreparedData:
    """This machine's copy of the prepared data at a URI; it is made first if there is none.

    Args:
        uri: of a folder that `san_core.prepare` wrote.
        fingerprint: that the data must have; None for any. If it is given and there is a copy, the URI is not asked.
        tell: how far the copy is; None shows a progress bar.

    Raises:
        InputError: if the data cannot be read, are not complete or other data, or cannot be copied.
    """
    check_uri(uri)
    try:
        if fingerprint and (copy := whole_data(cache_folder() / fingerprint, fingerprint)):
            return copy
        found = _look_at(uri)
        if fingerprint not in (None, found.fingerprint):
            raise InputError(
                f"they have fingerprint {found.fingerprint}, but {fingerprint} is needed; give the same data, prepared "
                "as they were, or start a new search"
            )
        return cached_data(found.fingerprint, uri, lambda folder: _copy(uri, found.size, folder, tell))
    except (OSError, InputError) as error:
        raise InputError(f"the data at {uri} cannot be used: {error}") from error


def _look_at(uri: str) -> _Found:
    """Reads what data are at a URI.

    Raises:
        InputError: if there are none, or they were written by another version.
    """
    with _process(uri) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS_TO_ANSWER)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"no answer in {SECONDS_TO_ANSWER} s") from error
    found = json.loads(output.splitlines()[-1])
    return _Found(_fingerprint(found["manifest"]), sum(found["files"].values()))


def _fingerprint(manifest: str | None) -> str:
    """The fingerprint in a manifest.

    Raises:
        InputError: if there is no manifest, or it is damaged or of another version.
    """
    if manifest is None:
        raise InputError(f"there is no {MANIFEST}; accepted: a folder written by san_core.prepare")
    try:
        content: Mapping[str, object] = json.loads(manifest)
        form, fingerprint = content["format"], str(content["fingerprint"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"their {MANIFEST} is damaged ({error!r})") from error
    if form != FORMAT:
        raise InputError(f"they have format {form}, accepted: {FORMAT}; prepare the data again")
    if not re.fullmatch("[0-9a-f]{8,64}", fingerprint):  # it becomes the name of a folder
        raise InputError(f"their {MANIFEST} is damaged: its fingerprint is {fingerprint[:100]!r}")
    return fingerprint


def _copy(uri: str, size: int, folder: Path, tell: Tell | None) -> None:
    """Copies the files at a URI into a folder.

    Raises:
        InputError: if a file cannot be read, or the folder's disk is full.
    """
    check_room(folder, size)
    if tell:
        _copy_and_tell(uri, size, folder, tell)
        return
    print_message(f"copying the data at {uri} to {folder.parent}")
    with progress_bar("MiB") as bars:
        bar = bars.add_task("data", total=_whole_mib(size))
        _copy_and_tell(uri, size, folder, lambda copied, _: bars.update(bar, completed=_whole_mib(copied)))


def _whole_mib(size: int) -> int:
    return -(-size // 2**20)


def _copy_and_tell(uri: str, size: int, folder: Path, tell: Tell) -> None:
    with _process(uri, str(folder)) as process:
        while process.poll() is None:
            tell(_size_of(folder), size)
            time.sleep(SECONDS_BETWEEN)
    if (copied := _size_of(folder)) != size:
        raise InputError(f"they have changed meanwhile: {copied:,} bytes of {size:,} were copied")
    tell(copied, size)


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@contextlib.contextmanager
def _process(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """`tuning.execution.remote_copy` as a process, which ends with the context at the latest.

    Raises:
        InputError: if the process ends with an error.
    """
    paths = os.pathsep.join(filter(None, sys.path))  # on a node the project is where Ray has put it
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tuning.execution.remote_copy", *arguments],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            errors.seek(0)
            raise InputError(_describe_end(process.returncode, errors.read()))


def _describe_end(code: int, errors: str) -> str:
    """Why a process ended, from its exit code and what it wrote to stderr: its last line, or all if it has crashed."""
    if code < 0:
        return f"the library of this file system has crashed (signal {-code}): {' '.join(errors.split())[-400:]}"
    said = "".join(errors.splitlines()[-1:]) or "no reason given"
    return f"{said}{f'; {_ACCEPTED}' if said.startswith('Unrecognized') else ''}"
