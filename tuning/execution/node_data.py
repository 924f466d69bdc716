"""The prepared data on a node of a cluster: those at the same path as on the driver's node, or a copy made once."""

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ray

from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tuning.execution.data_cache import cached_data, check_room, whole_data
from tuning.execution.driver_files import DriverFiles
from tuning.execution.remote_data import data_at

PIECE = 16 * 2**20
"""Bytes of data that are sent at once."""

AHEAD = 2
"""Pieces of data that are under way to a node at once, so that its memory and the driver's stay small."""


class NodeUnusableError(Exception):
    """This node cannot run trials; the message says why, in one line."""


def data_on_this_node(folder: Path, files: DriverFiles) -> PreparedData:
    """The prepared data, copied if this node has not the same at the same path, nor a copy.

    They come from the URI that they were given as, if the node can read that, and else from the driver's node.

    Args:
        folder: where the data are on the driver's node.
        files: the files there.

    Raises:
        NodeUnusableError: if there is no room for a copy, or it cannot be written. The driver has been told.
    """
    if found := whole_data(folder, files.fingerprint):
        return found
    try:
        return _copied_data(folder, files)
    except (OSError, InputError) as error:
        address = _address()
        why = error.strerror or error if isinstance(error, OSError) else error
        reason = f"the data cannot be copied to node {address}: {why}"
        files.ask("note_unusable", ray.get_runtime_context().get_node_id(), reason)
        raise NodeUnusableError(reason) from error


def _copied_data(folder: Path, files: DriverFiles) -> PreparedData:
    """This node's copy.

    Raises:
        OSError: if the disk is full, or a file cannot be read or written.
        InputError: if there is too little room, or they are not the data that the search runs on.
    """
    tell = partial(files.start, "note_copied", files.fingerprint, _address())
    if uri := files.data_uris.get(files.fingerprint):
        with contextlib.suppress(InputError):  # this node may have no credentials
            return data_at(uri, files.fingerprint, tell)
    return cached_data(files.fingerprint, f"{folder} on the driver's node", lambda copy: _copy(copy, files))


def _copy(copy: Path, files: DriverFiles) -> None:
    """Copies all files of the data from the driver's node into a folder.

    Raises:
        OSError: if the disk is full, or a file cannot be read or written.
        InputError: if there is too little room, or a file has changed.
    """
    sizes: dict[str, int] = files.ask("sizes", files.fingerprint)
    total, copied = sum(sizes.values()), 0
    check_room(copy, total)
    files.start("note_copied", files.fingerprint, _address(), 0, total)
    for name, content in _pieces(sizes, files):
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content)
        copied += len(content)
        files.start("note_copied", files.fingerprint, _address(), copied, total)
    if copied != total:
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
