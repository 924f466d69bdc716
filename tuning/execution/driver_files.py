"""Files of the driver's machine, for nodes that share no file system with it: the prepared data, and checkpoints.

An actor on the driver's node reads and writes them. What it returns, and what it is given, goes through Ray's object
store. Does not import torch, so that the actor takes little memory.
"""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuning.execution.checkpoint_files import CheckpointFiles
from tuning.execution.watchdog import is_dead


class News(NamedTuple):
    """What nodes have told of themselves.

    Attributes:
        copied: bytes of the data that each node has, and all bytes, by the node's address and their fingerprint.
        unusable: why a node cannot run trials, by its id.
    """

    copied: dict[tuple[str, str], tuple[int, int]]
    unusable: dict[str, str]


class FileServer:
    """The actor.

    Args:
        data: folders of prepared data, by their fingerprints.
        checkpoints: path of the folder of checkpoints; None if it is not asked for them.
    """

    def __init__(self, data: Mapping[str, Path], checkpoints: str | None) -> None:
        self._data = data
        self._checkpoints = None if checkpoints is None else CheckpointFiles(checkpoints)
        self._news = News({}, {})

    def sizes(self, fingerprint: str) -> dict[str, int]:
        """Bytes of each file of the data with a fingerprint, by its path in the folder."""
        folder = self._data[fingerprint]
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path.relative_to(folder)): path.stat().st_size for path in files}

    def piece(self, fingerprint: str, name: str, start: int, length: int) -> bytes:
        """At most `length` bytes of a file of these data."""
        with (self._data[fingerprint] / name).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def read(self, number: int) -> bytes | None:
        """A trial's checkpoint; None if there is none."""
        return self._checkpoints.read(number) if self._checkpoints else None

    def write(self, number: int, content: bytes) -> None:
        """Replaces a trial's checkpoint."""
        if self._checkpoints:
            self._checkpoints.write(number, content)

    def note_copied(self, fingerprint: str, node: str, copied: int, total: int) -> None:
        """Tells how many bytes of these data a node has; calls may come in another order than they were made."""
        key = node, fingerprint
        self._news.copied[key] = max((copied, total), self._news.copied.get(key, (0, total)))

    def note_unusable(self, node_id: str, reason: str) -> None:
        """Tells why a node cannot run trials."""
        self._news.unusable[node_id] = reason

    def news(self) -> News:
        """What nodes have told so far."""
        return self._news


def get_result(references: Any) -> Any:  # noqa: ANN401 - as `ray.get`
    """Waits as `ray.get` does; what a task raised is raised here as it was."""
    try:
        return ray.get(references)
    except RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from error
        raise


@dataclass(frozen=True)
class DriverFiles:
    """Where workers find the driver's files; it can be pickled.

    Attributes:
        actor_name: name of the actor.
        node_id: id of the node that the driver runs on.
        fingerprint: of the prepared data that are asked for.
        has_checkpoints: whether checkpoints are among them, since no storage that all nodes reach was given.
        data_uris: the URIs that data were given as, by fingerprint.
    """

    actor_name: str
    node_id: str
    fingerprint: str
    has_checkpoints: bool
    data_uris: Mapping[str, str] = field(default_factory=dict)

    @property
    def are_here(self) -> bool:
        """Whether this process runs on the driver's node, and can open the files itself."""
        return ray.get_runtime_context().get_node_id() == self.node_id

    def ask(self, method: str, *arguments: Any) -> Any:  # noqa: ANN401 - what the method takes and returns
        """Calls a method of `FileServer` and waits for its answer; what it raises is raised here."""
        return get_result(self.start(method, *arguments))

    def start(self, method: str, *arguments: Any) -> "ray.ObjectRef[Any]":  # noqa: ANN401
        """Calls a method of `FileServer`, and returns a reference to the answer."""
        reference: ray.ObjectRef[Any] = getattr(ray.get_actor(self.actor_name), method).remote(*arguments)
        return reference


class RelayedCheckpoints:
    """The checkpoints in the driver's run folder, for a worker on another node."""

    def __init__(self, files: DriverFiles) -> None:
        self._files = files

    def read(self, number: int) -> bytes | None:
        """A trial's checkpoint; None if there is none."""
        found: bytes | None = self._files.ask("read", number)
        return found

    def write(self, number: int, content: bytes | memoryview) -> None:
        """Replaces a trial's checkpoint; returns when it is on the driver's disk."""
        self._files.ask("write", number, bytes(content))


@contextlib.contextmanager
def driver_files(
    data: Mapping[str, Path], checkpoints: str | None = None, data_uris: Mapping[str, str] | None = None
) -> Iterator[DriverFiles]:
    """Starts the actor for as long as the context lasts. If it dies, Ray starts it again.

    Args:
        data: folders of prepared data, by their fingerprints; the first is asked for where nothing else is said.
        checkpoints: folder of checkpoints on this machine; None if all nodes reach them.
        data_uris: the URIs that data were given as, by fingerprint; None for none.
    """
    node_id, name = ray.get_runtime_context().get_node_id(), f"san-files-{secrets.token_hex(8)}"
    server = ray.remote(FileServer).options(
        name=name,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=4,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    )
    actor: Any = server.remote(dict(data), checkpoints)
    try:
        yield DriverFiles(name, node_id, next(iter(data)), checkpoints is not None, dict(data_uris or {}))
    finally:
        if not is_dead():
            with contextlib.suppress(Exception):
                ray.kill(actor)
