"""What the Ray dashboard shows of a running trial.

Imports nothing that takes time, because every trial starts a process that imports this.
"""

import sys


class Trial:
    """An actor that stands for a running trial in the dashboard: its name in the actor list, its progress in its log.

    A worker outlives its trials, and Ray fixes how an actor is shown when it starts. So each trial
    gets an actor of its own to be recognised by.
    """

    def __init__(self, title: str) -> None:
        self._title = title

    def log(self, text: str) -> None:
        """Writes to the log that the actor's page in the dashboard opens with."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - what an actor prints is its log

    def __repr__(self) -> str:
        return self._title
