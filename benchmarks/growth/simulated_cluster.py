"""A cluster of many nodes for Ray Tune, without their processes: workers run in the process of the search.

Ray itself runs on this machine, and what workers return goes through its object store: Tune waits for hundreds of
workers at once, and reads what each of them returns, as on a real cluster. Tune's own code is unchanged.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import ray
from ray import cloudpickle, tune
from ray.actor import ActorClass
from ray.air.execution.resources import AcquiredResources, ResourceManager, ResourceRequest

worker_seconds = 0.0
"""CPU seconds that workers have taken, which is not the search's own."""


def _send(arguments: object) -> None:
    """Does what Ray does with the arguments of a call to an actor."""
    cloudpickle.dumps(arguments)  # type: ignore[no-untyped-call]


class _Method:
    """A method of a simulated worker, which runs when it is called, and returns a reference as an actor's does."""

    def __init__(self, actor: "_Actor", name: str) -> None:
        self._actor, self._name = actor, name

    def remote(self, *arguments: Any, **named: Any) -> "ray.ObjectRef[Any]":  # noqa: ANN401 - as the method
        _send((arguments, named))
        return ray.put(self._actor.call(self._name, arguments, named))


class _Actor:
    """A simulated worker: a trainable that runs here."""

    def __init__(self, trainable: type[tune.Trainable], arguments: dict[str, Any]) -> None:
        _send(arguments)
        self._start: Callable[[], Any] = partial(trainable, **arguments)
        self._trainable: Any = None

    def __getattr__(self, name: str) -> _Method:
        return _Method(self, name)

    def call(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ANN401
        """What a method returns; the time it takes is counted."""
        global worker_seconds  # noqa: PLW0603
        before = time.thread_time()
        try:
            if name == "__ray_ready__":
                self._trainable = self._start()
                return True
            return None if name == "__ray_terminate__" else getattr(self._trainable, name)(*arguments, **named)
        finally:
            worker_seconds += time.thread_time() - before


class _Class(ActorClass):  # type: ignore[type-arg]
    """What Tune takes for the remote class of its workers."""

    def __init__(self, trainable: type[tune.Trainable]) -> None:
        self._simulated = trainable

    def options(self, **_: object) -> "_Class":
        return self

    def remote(self, *_: object, **arguments: Any) -> Any:  # noqa: ANN401 - a handle of an actor
        return _Actor(self._simulated, arguments)


class _Acquired(AcquiredResources):
    """A slot that a worker has."""

    def _annotate_remote_entity(self, entity: Any, bundle: object, bundle_index: int) -> Any:  # noqa: ANN401
        del bundle, bundle_index
        return entity


class _Slots(ResourceManager):
    """The slots of the cluster: a worker takes one. They are granted at once."""

    def __init__(self, count: int) -> None:
        self._free = count

    def request_resources(self, resource_request: ResourceRequest) -> None:
        """Nothing has to be prepared."""

    def cancel_resource_request(self, resource_request: ResourceRequest) -> None:
        """Nothing was prepared."""

    def has_resources_ready(self, resource_request: ResourceRequest) -> bool:
        del resource_request
        return self._free > 0

    def acquire_resources(self, resource_request: ResourceRequest) -> AcquiredResources | None:
        if not self._free:
            return None
        self._free -= 1
        return _Acquired(resource_request)

    def free_resources(self, acquired_resource: AcquiredResources) -> None:
        del acquired_resource
        self._free += 1

    def clear(self) -> None:
        """Nothing is kept."""


def _nodes(count: int) -> list[dict[str, Any]]:
    """What `ray.nodes()` says of nodes with a slot each."""
    return [
        {
            "Alive": True,
            "NodeID": f"{number:056x}",
            "NodeManagerAddress": f"10.0.{number // 256}.{number % 256}",
            "Resources": {"CPU": 1.0, "memory": 2.0**34},
        }
        for number in range(count)
    ]


@contextlib.contextmanager
def simulated_cluster(nodes: int) -> Iterator[None]:
    """A cluster of so many nodes, with a slot each, for searches with Ray Tune in this process."""
    controller = "ray.tune.execution.tune_controller"
    with (
        patch(f"{controller}._ActorClassCache.get", lambda _, trainable: _Class(trainable)),
        patch(f"{controller}.PlacementGroupResourceManager", lambda: _Slots(nodes)),
        patch("ray.nodes", lambda: _nodes(nodes)),
    ):
        yield
