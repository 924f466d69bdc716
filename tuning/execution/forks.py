"""Processes that were forked from one that has used Ray, in which a search would wait for ever."""

import os

from san_core.errors import InputError

_used_in: list[int] = []
"""Ids of the processes that have used Ray and PyTorch's threads: this one, and those that it was forked from."""


def refuse_fork() -> None:
    """Checks that this process was not forked from one in which a search or a retraining ran; notes that one runs here.

    Ray's and PyTorch's threads are not there in a forked process, and what waits for them never ends.

    Raises:
        InputError: if it was.
    """
    process = os.getpid()
    if _used_in and process not in _used_in:
        raise InputError(
            "this process was forked from one in which a search has run, so it would wait for ever for threads that it "
            "does not have; accepted: a process that is spawned, as by multiprocessing.get_context('spawn').Process"
        )
    _used_in[:] = [process]
