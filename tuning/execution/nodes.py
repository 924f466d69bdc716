"""The nodes of the Ray cluster. Every question has a time limit, which Ray's own functions do not have."""

import contextlib
from typing import Any

import ray
from ray.core.generated.gcs_pb2 import GcsNodeInfo  # type: ignore[attr-defined]

SECONDS_FOR_ANSWER = 10
"""Seconds that one call waits for the head: none may be left when the program goes on without it."""

SECONDS_TO_REACH = 2
"""Seconds within which a head that can be reached answers."""


def alive_nodes(seconds: float) -> dict[str, dict[str, float]]:
    """The resources of each node of the cluster that is alive, by its id.

    `ray.nodes` waits for ever, and ends the program if GCS answers with an error.

    Args:
        seconds: how long to wait for the answer.

    Raises:
        Exception: of several kinds, if there is none.
    """
    return {node_id: dict(node.resources_total) for node_id, node in _alive(seconds).items()}


def alive_addresses(seconds: float) -> dict[str, str]:
    """The address of each node of the cluster that is alive, by its id; otherwise as `alive_nodes`."""
    return {node_id: str(node.node_manager_address) for node_id, node in _alive(seconds).items()}


def _alive(seconds: float) -> dict[str, Any]:
    gcs = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]
    nodes = gcs.get_all_node_info(timeout=seconds)
    return {found.hex(): node for found, node in nodes.items() if node.state == GcsNodeInfo.ALIVE}


def ray_is_ours() -> bool:
    """Whether `ray.init` started Ray on this machine, and did not join a cluster."""
    node = ray._private.worker._global_node
    return node is None or node.is_head()


def head_is_reachable() -> bool:
    """Whether the head answers now, if it is on another machine; true if this program has started Ray itself.

    Ray's library waits for a head that has died where no signal reaches it, and ends the program after a minute. So
    this is asked before a call of that kind. The watchdog takes care of a Ray on this machine.
    """
    if ray_is_ours():
        return True
    with contextlib.suppress(Exception):
        alive_nodes(SECONDS_TO_REACH)
        return True
    return False
