"""The processes of the Ray that this program has started, or is starting. Ray has no public way to ask for them."""

import contextlib
from collections.abc import Iterator

import ray
from ray._private.node import Node

from tuning.execution.replaced import replaced


def dead_processes() -> list[str]:
    """The kinds of those that are dead: `gcs_server`, `raylet`, ...; none if this program has started no Ray."""
    node = ray._private.worker._global_node or next(iter(_starting), None)
    if node is None:
        return []
    return [process_type for process_type, _ in node.dead_processes()]  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def noting_start() -> Iterator[None]:
    """Has `dead_processes` tell of a Ray that is started in the context before `ray.init` is through with it."""
    start = Node.start_head_processes

    def start_noted(node: Node) -> None:
        _starting.append(node)
        start(node)  # type: ignore[no-untyped-call]

    with replaced(Node, "start_head_processes", start_noted):
        try:
            yield
        finally:
            _starting.clear()


_starting: list[Node] = []
"""The Ray that is being started, if one is."""
