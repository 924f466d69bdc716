"""Processes that were forked from one that has used Ray, in which a search would wait for ever."""

import os

import ray

from san_core.errors import InputError
from san_core.hardware import is_forked

_used_in: list[int] = []
"""Ids of the processes in which a search or a retraining ran: this one, and those that it was forked from."""


def refuse_fork() -> None:
    """Checks that this process was not forked from one that has used Ray; notes that this one uses it now.

    Ray's threads are not there in a forked process, and what waits for them never ends.

    Raises:
        InputError: if it was.
    """
    process = os.getpid()
    if process in _used_in:
        return
    if _used_in or _has_lost_ray():
        raise InputError(
            "this process was forked from one that has used Ray, as a search does, so it would wait for ever for "
            "threads that it does not have; accepted: a process that is spawned, as by "
            "multiprocessing.get_context('spawn').Process"
        )
    _used_in[:] = [process]


def _has_lost_ray() -> bool:
    """Whether `ray.init` was called in the process that this one was forked from.

    It starts a thread that runs until `ray.shutdown`, and Ray keeps the object afterwards. In a worker of Ray's there
    is no such thread.
    """
    listener = getattr(ray._private.worker.global_worker, "listener_thread", None)
    return listener is not None and not listener.is_alive() and (ray.is_initialized() or is_forked())
