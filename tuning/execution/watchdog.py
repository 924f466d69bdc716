"""Ends a search if Ray itself dies. Ray Tune would wait for Ray, for a minute or for ever."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import ray

from san_core.command_line import is_command
from san_core.errors import InputError
from tuning.execution.gcs_stand_in import answer_for_gcs
from tuning.execution.nodes import SECONDS_FOR_ANSWER, alive_nodes, ray_is_ours
from tuning.execution.ray_processes import dead_processes, noting_start

SECONDS_BETWEEN = 1
"""Seconds between two checks."""

CHECKS_WITHOUT_ANSWER = 50
"""Checks in a row without an answer of Ray's after which it is taken for dead. A stopped program makes no checks.

After a minute without GCS, Ray's library would end the program with exit code 1 and a line of its own.
"""

CHECKS_WITHOUT_HEAD = 40
"""The same for a cluster that was joined. Ray's library ends the program when it has waited 60 s for the head."""

SECONDS_TO_END = 2
"""Seconds that the context waits at its end for a check that is under way: Ray may not answer it any more."""

SECONDS_TO_LEAVE = 30
"""Seconds that an interrupted thread has to leave the context, before it is interrupted again."""

_NEEDED = ("gcs_server", "raylet")
"""Ray's processes on this machine that a search cannot do without; log monitor, dashboard and the like are extras."""

_LEAVE_LIVE_SCREEN = "\x1b[?1049l\x1b[?25h"
"""Tells a terminal to leave the live screen and to show the cursor."""


class RayDiedError(InputError):
    """Ray itself died, so that nothing can go on."""


@contextlib.contextmanager
def end_if_ray_dies(
    advice: str, on_death: Callable[[str], object] | None = None, *, tidies_up: bool = False
) -> Iterator[None]:
    """Ends what runs in the context if Ray dies while it lasts.

    The thread that runs it may wait inside Ray for an answer that never comes. A command ends at once, with exit code
    2. In a program that called a function the thread is interrupted: in the main thread by a signal, which Ray heeds
    while it waits, in another one by an exception, which that raises as soon as it is back from Ray. The thread has a
    second to leave the context by itself: systemd and Slurm send SIGTERM to all processes, so Ray dies while this
    program ends in order. Nothing is lost: all that is known is in the journal already.

    Args:
        advice: text for the user, after the reason.
        on_death: function called with the reason before that.
        tidies_up: whether a command must not end at once, but raise the error like a function, since what it has begun
            to write has to be removed.

    Raises:
        RayDiedError: if Ray died, and no command ended because of it.
    """
    stop, node, interrupted = threading.Event(), _ThisNode(), _Interrupted(threading.current_thread())

    def watch() -> None:
        if not (dead := _wait_for_death(node, stop)):
            return
        if on_death:
            on_death(dead)
        if is_command() and not tidies_up:
            _exit(f"error: {dead}; {advice}")
        else:
            _deaths.append(dead)
            answer_for_gcs()
            interrupted.interrupt_until(stop)

    threads = [
        threading.Thread(target=watch, name="ray-watchdog", daemon=True),
        threading.Thread(target=node.ask_until, args=[stop], name="ray-watchdog-asks", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        with _explained(advice), interrupted.heeding(stop):
            yield
    finally:
        stop.set()
        _deaths.clear()
        for thread in threads:
            thread.join(SECONDS_TO_END)


@contextlib.contextmanager
def end_start_if_ray_dies(before_exit: Callable[[], object]) -> Iterator[None]:
    """Ends the program, with one line and exit code 2, if Ray dies while it is started in the context.

    Ray's library waits for a minute if GCS has died, and then ends the program itself with a message of its own; no
    exception reaches it. The same if the raylet has died, in nine seconds in which no other thread can run: so the
    library must be called when the raylet is ready.

    Args:
        before_exit: function called before that.
    """
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(SECONDS_BETWEEN):
            if (dead := _dead_needed()) and not stop.wait(SECONDS_BETWEEN):  # else Ray has found out, and tells
                before_exit()
                _exit(f"error: Ray did not start: its {dead} process died")

    thread = threading.Thread(target=watch, name="ray-watchdog-start", daemon=True)
    thread.start()
    try:
        with noting_start():
            yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _explained(advice: str) -> Iterator[None]:
    """Replaces what was raised because Ray died."""
    try:
        yield
    except BaseException as error:
        if _deaths:
            raise RayDiedError(f"{_deaths[0]}; {advice}") from error
        raise


def _wait_for_death(node: "_ThisNode", stop: threading.Event) -> str:
    """What died, in words; empty if the context was left before."""
    while not stop.wait(SECONDS_BETWEEN):
        if (dead := _what_died(node)) and not stop.wait(SECONDS_BETWEEN):
            return dead
    return ""


_deaths: list[str] = []
"""What died, in words, from when Ray's death was found until the context has been left."""


def is_dead() -> bool:
    """Whether Ray was found dead, so that nothing may be asked of it."""
    return bool(_deaths)


def _exit(message: str) -> None:
    screen = sys.__stderr__ or sys.stderr  # sys.stderr goes elsewhere during the live screen
    print(f"{_LEAVE_LIVE_SCREEN if screen.isatty() else ''}{message}", file=screen, flush=True)
    os._exit(2)


class _RayDied(BaseException):
    """Raised in the interrupted thread. Code of Ray that goes on after any `Exception` must not go on after this."""


class _Interrupted:
    """A thread that can be interrupted."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread
        self._by_signal = thread is threading.main_thread() and signal.getsignal(signal.SIGINT) is not None

    @contextlib.contextmanager
    def heeding(self, stop: threading.Event) -> Iterator[None]:
        """Has this thread heed an interruption for as long as the context lasts. Ctrl-C does what it did before."""
        if not self._by_signal:
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def handle(number: int, frame: FrameType | None) -> None:
            if _deaths and not stop.is_set():
                raise _RayDied
            if callable(before):
                before(number, frame)
            elif before == signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)

        signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def interrupt_until(self, stop: threading.Event) -> None:
        """Interrupts the thread until it has left the context: what it does at the end may wait for Ray as well."""
        while not stop.is_set():
            identity = self._thread.ident or 0
            if self._by_signal and hasattr(signal, "pthread_kill"):
                signal.pthread_kill(identity, signal.SIGINT)
            elif self._by_signal:
                signal.raise_signal(signal.SIGINT)
            else:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(_RayDied))
            stop.wait(SECONDS_TO_LEAVE)


class _ThisNode:
    """What Ray said last about this machine's node. A thread of its own asks, since Ray may never answer.

    Attributes:
        is_alive: whether it is part of the cluster.
        checks_without_answer: number of checks since the last answer.
    """

    def __init__(self) -> None:
        self.is_alive = True
        self.checks_without_answer = 0

    def ask_until(self, stop: threading.Event) -> None:
        """Asks again and again. An error counts as no answer."""
        while not stop.wait(SECONDS_BETWEEN):
            with contextlib.suppress(Exception):
                self.is_alive = _is_alive(ray.get_runtime_context().get_node_id())
                self.checks_without_answer = 0


def _is_alive(node_id: str) -> bool:
    """Whether a node is part of the cluster."""
    return node_id in alive_nodes(CHECKS_WITHOUT_ANSWER if ray_is_ours() else SECONDS_FOR_ANSWER)


def check_alive() -> None:
    """Checks that the Ray that the program has started before is not dead: whoever asks it something waits for ever.

    Raises:
        RayDiedError: if it is.
    """
    if dead := _dead_process():
        raise RayDiedError(f"{dead}; accepted: a Ray that runs, or none, after ray.shutdown()")


def _dead_process() -> str:
    """Which of the processes that a search cannot do without is dead, in words; empty if none is."""
    dead = _dead_needed()
    return f"Ray's {dead} process on this machine died" if dead else ""


def _dead_needed() -> str:
    """The name of the first dead process that a search cannot do without; empty if none is."""
    return next((process_type for process_type in dead_processes() if process_type in _NEEDED), "")


def _what_died(this_node: _ThisNode) -> str:
    """Which part of Ray is dead, in words; empty if none is."""
    if dead := _dead_process():
        return dead
    if not this_node.is_alive:
        return "this machine is no longer part of the Ray cluster"
    this_node.checks_without_answer += 1
    limit = CHECKS_WITHOUT_ANSWER if ray_is_ours() else CHECKS_WITHOUT_HEAD
    if this_node.checks_without_answer > limit:
        return f"Ray has not answered for {limit * SECONDS_BETWEEN:g} s"
    return ""
