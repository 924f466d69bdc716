"""A thread for work that the search does not wait for, and whose failures do not reach the search."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from san_core.command_line import print_message

MAX_REASON_LENGTH = 200
"""Characters of an error message that a warning shows."""


class BackgroundThread:
    """Runs jobs one after the other in a thread. The first job that fails causes a warning of one line; others do not.

    Args:
        name: name of the work, for the warning.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._warned = False
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run_jobs, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], object]) -> None:
        """Adds a job, to be run after those before it."""
        self._jobs.put(job)

    def close(self, timeout: float) -> None:
        """Waits until all jobs are done, at most `timeout` seconds; the jobs that are left then are given up."""
        self._jobs.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._warn(f"not done {timeout:g} s after the end; the rest is given up")

    def _run_jobs(self) -> None:
        while job := self._jobs.get():
            try:
                job()
            except Exception as error:  # noqa: BLE001 - no error of a job is a reason to end the search
                lines = str(error).strip().splitlines()
                self._warn(f"{type(error).__name__}{': ' if lines else ''}{''.join(lines[:1])[:MAX_REASON_LENGTH]}")

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            print_message(f"warning: {self._name}: {reason}; the search is not affected, and this is said once")
