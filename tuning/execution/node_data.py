"""The prepared data on a node of a cluster: those at the same path as on the driver's node, or a copy made once."""

import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import ray

from san_core.data.partial_folder import lock
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.files import make_folder, name_folder
from tuning.execution.driver_files import DriverFiles

PIECE = 16 * 2**20
"""Bytes of data that are sent at once."""

AHEAD = 2
"""Pieces of data that are under way to a node at once, so that its memory and the driver's stay small."""

VARIABLE = "SAN_DATA_CACHE"
"""Environment variable of a node with the folder for copies of data."""


class NodeUnusableError(Exception):
    """This node cannot run trials; the message says why, in one line."""


def data_on_this_node(folder: Path, files: DriverFiles) -> PreparedData:
    """The prepared data, copied from the driver's node if this one has not the same at the same path, nor a copy.

    Of several workers on a node one copies, and the others wait for it. A copy has its name only when it is complete.

    Args:
        folder: where the data are on the driver's node.
        files: the files there.

    Raises:
        NodeUnusableError: if there is no room for a copy, or it cannot be written. The driver has been told.
    """
    if found := _same_data(folder, files.fingerprint):
        return found
    try:
        return _cached_data(cache_folder() / files.fingerprint, files)
    except (OSError, InputError) as error:
        address = _address()
        why = error.strerror or error if isinstance(error, OSError) else error
        reason = f"the data cannot be copied to node {address}: {why}"
        files.ask("note_unusable", ray.get_runtime_context().get_node_id(), reason)
        raise NodeUnusableError(reason) from error


def cache_folder() -> Path:
    """The folder of this node for copies of data.

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


def _same_data(folder: Path, fingerprint: str) -> PreparedData | None:
    """The data in a folder, if they are the same and complete."""
    try:
        found = PreparedData.open(folder)
    except InputError:
        return None
    return found if found.fingerprint == fingerprint else None


def _cached_data(copy: Path, files: DriverFiles) -> PreparedData:
    with lock(copy):
        if found := _same_data(copy, files.fingerprint):
            return found
        shutil.rmtree(copy, ignore_errors=True)
        partial = copy.with_name(f".{copy.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # of one that died
        try:
            _copy(partial, files)
            name_folder(partial, copy)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return PreparedData.open(copy)


def _copy(partial: Path, files: DriverFiles) -> None:
    """Copies all files of the data into a new folder.

    Raises:
        OSError: if the disk is full, or a file cannot be read or written.
        InputError: if there is too little room, or they are not the data that the search runs on.
    """
    sizes: dict[str, int] = files.ask("sizes", files.fingerprint)
    partial.mkdir(parents=True)
    total, free, copied = sum(sizes.values()), shutil.disk_usage(partial).free, 0
    if total > free:
        raise InputError(
            f"they have {total / 2**20:.0f} MiB, but {partial.parent} has {free / 2**20:.0f} MiB free; accepted: more "
            f"room, or another folder, which {VARIABLE} names in the environment of `ray start`"
        )
    files.start("note_copied", files.fingerprint, _address(), 0, total)
    for name, content in _pieces(sizes, files):
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content)
        copied += len(content)
        files.start("note_copied", files.fingerprint, _address(), copied, total)
    if copied != total or not _same_data(partial, files.fingerprint):
        raise InputError("they have changed on the driver's node meanwhile")


def _pieces(sizes: Mapping[str, int], files: DriverFiles) -> Iterator[tuple[str, bytes]]:
    """The pieces of all files, in order, with the name of the file; the next ones are under way meanwhile."""
    wanted = iter([(name, start) for name, size in sizes.items() for start in range(0, max(size, 1), PIECE)])
    under_way: deque[tuple[str, ray.ObjectRef[Any]]] = deque()
    while True:
        for name, start in islice(wanted, AHEAD - len(under_way)):
            under_way.append((name, files.start("piece", files.fingerprint, name, start, PIECE)))
        if not under_way:
            return
        name, reference = under_way.popleft()
        yield name, ray.get(reference)


def _address() -> str:
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
