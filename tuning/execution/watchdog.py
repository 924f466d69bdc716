"""Ends a search if Ray itself dies. Ray Tune would wait for Ray, for a minute or for ever."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import ray
from ray.core.generated.gcs_pb2 import GcsNodeInfo  # type: ignore[attr-defined]

from san_core.command_line import is_command
from san_core.errors import InputError

SECONDS_BETWEEN = 1
"""Seconds between two checks."""

CHECKS_WITHOUT_ANSWER = 50
"""Checks in a row without an answer of Ray's after which it is taken for dead. A stopped program makes no checks.

After a minute without GCS, Ray's library would end the program with exit code 1 and a line of its own.
"""

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
def end_if_ray_dies(advice: str, on_death: Callable[[str], object] | None = None) -> Iterator[None]:
    """Ends what runs in the context if Ray dies while it lasts.

    The thread that runs it may wait inside Ray for an answer that never comes. A command ends at once, with exit code
    2. In a program that called a function the thread is interrupted: in the main thread by a signal, which Ray heeds
    while it waits, in another one by an exception, which that raises as soon as it is back from Ray. The thread has a
    second to leave the context by itself: systemd and Slurm send SIGTERM to all processes, so Ray dies while this
    program ends in order. Nothing is lost: all that is known is in the journal already.

    Args:
        advice: text for the user, after the reason.
        on_death: function called with the reason before that.

    Raises:
        RayDiedError: if Ray died, and no command is run.
    """
    stop, node, interrupted = threading.Event(), _ThisNode(), _Interrupted(threading.current_thread())

    def watch() -> None:
        if not (dead := _wait_for_death(node, stop)):
            return
        if on_death:
            on_death(dead)
        if is_command():
            _exit(f"error: {dead}; {advice}")
        else:
            _deaths.append(dead)
            _refuse_calls()
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


def _refuse_calls() -> None:
    """Answers in the place of this machine's GCS, if it has died, that it knows no call.

    Ray's library calls GCS in places where neither a signal nor an exception reaches it. It would try for a minute and
    then end the program. An answer, any answer, ends the call.
    """
    node = ray._private.worker._global_node
    if node is None or "gcs_server" not in [process_type for process_type, _ in node.dead_processes()]:
        return
    import grpc  # type: ignore[import-untyped]  # it takes a while, and is needed only then

    server = grpc.server(ThreadPoolExecutor(max_workers=2, thread_name_prefix="ray-watchdog-gcs"))
    with contextlib.suppress(RuntimeError):  # the port is taken
        server.add_insecure_port(node.gcs_address)
        server.start()
        _servers.append(server)


_servers: list[Any] = []
"""What answers in the place of a dead GCS, until Ray has been shut down."""


def stop_refusing() -> None:
    """Ends the answers in the place of a dead GCS, since Ray has been shut down."""
    while _servers:
        _servers.pop().stop(grace=None)


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
    """Whether a node is part of the cluster. `ray.nodes` ends the program if GCS answers with an error."""
    gcs = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]
    nodes = gcs.get_all_node_info(timeout=CHECKS_WITHOUT_ANSWER)
    return any(found.hex() == node_id and node.state == GcsNodeInfo.ALIVE for found, node in nodes.items())


def _what_died(this_node: _ThisNode) -> str:
    """Which part of Ray is dead, in words; empty if none is.

    Ray has no public way to ask for the processes that `ray.init` started.
    """
    node = ray._private.worker._global_node
    dead: list[str] = [process_type for process_type, _ in node.dead_processes()] if node is not None else []
    if needed := [process_type for process_type in _NEEDED if process_type in dead]:
        return f"Ray's {needed[0]} process on this machine died"
    if not this_node.is_alive:
        return "this machine is no longer part of the Ray cluster"
    this_node.checks_without_answer += 1
    if this_node.checks_without_answer > CHECKS_WITHOUT_ANSWER:
        return f"Ray has not answered for {CHECKS_WITHOUT_ANSWER * SECONDS_BETWEEN:g} s"
    return ""
