"""Work that a search does not wait for, and whose failures do not reach it."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from san_core.command_line import print_message

LONGEST_REASON = 200
"""Characters of an error that a warning shows."""


class Background:
    """Does jobs one after the other in a thread of its own. The first that fails is told of in one line.

    Args:
        what: the jobs, as the warning calls them.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._warned = False
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=what, daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], object]) -> None:
        """Has a job done after those before it."""
        self._jobs.put(job)

    def close(self, seconds: float) -> None:
        """Waits until all is done, but no longer than so many seconds; what is left then is given up."""
        self._jobs.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._warn(f"not done {seconds:g} s after the end; the rest is given up")

    def _work(self) -> None:
        while job := self._jobs.get():
            try:
                job()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to end a search
                lines = str(error).strip().splitlines()
                self._warn(f"{type(error).__name__}{': ' if lines else ''}{''.join(lines[:1])[:LONGEST_REASON]}")

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            print_message(f"warning: {self._what}: {reason}; the search is not affected, and this is said once")
