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


class Terminated(KeyboardInterrupt):
    """The program is asked to end: by SIGTERM (`kill`, Docker, Slurm, Kubernetes, systemd) or SIGHUP (closed terminal).

    It is a KeyboardInterrupt, so that what cleans up after Ctrl-C cleans up here too.

    Attributes:
        signal: number of the signal.
    """

    def __init__(self, signal: int) -> None:
        super().__init__()
        self.signal = signal


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Exit code of a command that was interrupted: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP."""
    return 128 + (interrupt.signal if isinstance(interrupt, Terminated) else signal.SIGINT)


def is_interrupted(code: int) -> bool:
    """Whether an exit code is one of `exit_code`."""
    return code > 128


@contextlib.contextmanager
def end_on_signals() -> Iterator[None]:
    """Raises `Terminated` when SIGTERM or SIGHUP arrives in the context; a second one ends the program at once.

    A signal that is ignored, as under `nohup`, stays ignored. Does nothing outside the main thread, which alone may set
    handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [number for number in (1, 2) if os.isatty(number)]
    arrived: list[float] = []

    def handle(number: int, _: FrameType | None) -> None:
        if not arrived:
            arrived.append(time.monotonic())
            if number != signal.SIGTERM:
                _write_nowhere(terminals)
            raise Terminated(number)
        if time.monotonic() - arrived[0] > SECONDS_BEFORE_REPEAT:
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


def _write_nowhere(descriptors: list[int]) -> None:
    """Discards what is written to these: a terminal that was closed raises an error at every write."""
    for number in descriptors:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
