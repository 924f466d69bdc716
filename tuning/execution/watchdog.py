"""Notices when Ray itself dies: Tune would wait for it, for a minute or for ever."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

import ray

SECONDS_BETWEEN = 1
"""How often is looked."""

_NO_LIVE_SCREEN = "\x1b[?1049l\x1b[?25h"
"""Tells a terminal to leave the live screen and to show the cursor."""


@contextlib.contextmanager
def ray_watched(advice: str, on_death: Callable[[str], object] = str) -> Iterator[None]:
    """Ends the program with exit code 2 if Ray dies while the context lasts.

    It ends on the spot, since the main thread may wait inside Ray for an answer that never comes. That loses nothing:
    whatever is known is in the journal already.

    Args:
        advice: what the person at the screen can do, said after what died.
        on_death: told what died before the program ends.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS_BETWEEN):
            if dead := _dead():
                screen = sys.__stderr__ or sys.stderr  # what is said goes elsewhere while the live screen is there
                print(f"{_NO_LIVE_SCREEN if screen.isatty() else ''}error: {dead}; {advice}", file=screen, flush=True)
                on_death(dead)
                os._exit(2)

    watcher = threading.Thread(target=watch, name="ray-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _dead() -> str:
    """What of Ray is dead; empty if all is well.

    Ray has no public way to ask for the processes that `ray.init` started.
    """
    node = ray._private.worker._global_node
    if node is not None and (dead := node.dead_processes()):
        return f"Ray's {dead[0][0]} process on this machine died"
    mine = ray.get_runtime_context().get_node_id()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    alive = any(entry["NodeID"] == mine and entry["Alive"] for entry in nodes)
    return "" if alive else "this machine is no longer part of the Ray cluster"
