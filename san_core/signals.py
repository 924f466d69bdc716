"""Signals that ask a program to end: they end it as Ctrl-C does."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

SECONDS_BEFORE_REPEAT = 1.0
"""A further signal that comes sooner is the same request: `timeout` and Slurm send two at once."""

_arrived: list[tuple[int, float]] = []
"""The first signal of a program that is asked to end, and when it came. It is kept here because Ray replaces an
exception that a handler raises inside of Ray by a KeyboardInterrupt of its own."""


def exit_code() -> int:
    """Exit code of a command that was interrupted: 143 by SIGTERM, 129 by SIGHUP, 130 by Ctrl-C."""
    return 128 + (_arrived[0][0] if _arrived else signal.SIGINT)


def is_interrupted(code: int) -> bool:
    """Whether an exit code is one of `exit_code`."""
    return code > 128


@contextlib.contextmanager
def end_on_signals() -> Iterator[None]:
    """Raises KeyboardInterrupt when SIGTERM or SIGHUP arrives in the context; a second one ends the program at once.

    SIGTERM comes from `kill`, Docker, Slurm, Kubernetes and systemd, SIGHUP from a terminal that is closed. A signal
    that is ignored, as under `nohup`, stays so. Does nothing outside the main thread, which alone may set handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [number for number in (1, 2) if os.isatty(number)]

    def handle(number: int, _: FrameType | None) -> None:
        if not _arrived:
            _arrived.append((number, time.monotonic()))
            if number != signal.SIGTERM:
                _write_nowhere(terminals)
            raise KeyboardInterrupt
        if time.monotonic() - _arrived[0][1] > SECONDS_BEFORE_REPEAT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows lacks one
    before = {number: signal.getsignal(number) for number in numbers}
    changed = [number for number, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    for number in changed:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])
        _arrived.clear()


def _write_nowhere(descriptors: list[int]) -> None:
    """Discards what is written to these: a terminal that was closed raises an error at every write."""
    for number in descriptors:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
