"""Ends the program if Ray itself dies. Ray Tune would wait for Ray, for a minute or for ever."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

import ray

SECONDS_BETWEEN = 1
"""Seconds between two checks."""

CHECKS_WITHOUT_ANSWER = 60
"""Checks in a row without an answer of Ray's after which it is taken for dead. A stopped program makes no checks."""

SECONDS_TO_END = 2
"""Seconds that the context waits at its end for a check that is under way: Ray may not answer it any more."""

_NEEDED = ("gcs_server", "raylet")
"""Ray's processes on this machine that a search cannot do without; log monitor, dashboard and the like are extras."""

_LEAVE_LIVE_SCREEN = "\x1b[?1049l\x1b[?25h"
"""Tells a terminal to leave the live screen and to show the cursor."""


@contextlib.contextmanager
def exit_if_ray_dies(advice: str, on_death: Callable[[str], object] | None = None) -> Iterator[None]:
    """Ends the program with exit code 2 if Ray dies while the context lasts.

    The main thread may wait inside Ray for an answer that never comes, so it is not asked. It has a second to leave the
    context by itself: systemd and Slurm send SIGTERM to all processes, so Ray dies while this program ends in order.
    Nothing is lost: all that is known is in the journal already.

    Args:
        advice: text for the user, printed after the reason.
        on_death: function called with the reason before the program ends.
    """
    stop = threading.Event()
    node = _ThisNode()

    def watch() -> None:
        while not stop.wait(SECONDS_BETWEEN):
            if (dead := _what_died(node)) and not stop.wait(SECONDS_BETWEEN):
                screen = sys.__stderr__ or sys.stderr  # sys.stderr goes elsewhere during the live screen
                print(
                    f"{_LEAVE_LIVE_SCREEN if screen.isatty() else ''}error: {dead}; {advice}", file=screen, flush=True
                )
                if on_death:
                    on_death(dead)
                os._exit(2)

    threads = [
        threading.Thread(target=watch, name="ray-watchdog", daemon=True),
        threading.Thread(target=node.ask_until, args=[stop], name="ray-watchdog-asks", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS_TO_END)


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
                this_node = ray.get_runtime_context().get_node_id()
                nodes = ray.nodes()  # type: ignore[no-untyped-call]
                self.is_alive = any(node["NodeID"] == this_node and node["Alive"] for node in nodes)
                self.checks_without_answer = 0


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
