"""The Ray actor that shows a running trial in Ray's dashboard.

Imports nothing that takes time, since each actor is a process of its own that imports this module.
"""

import sys


class TrialActor:
    """Shows a running trial in the dashboard: its title in the list of actors, its progress in its log.

    A worker cannot do this itself: it runs many trials, and Ray fixes an actor's name when the actor starts.
    """

    def __init__(self, title: str) -> None:
        self._title = title

    def log(self, text: str) -> None:
        """Writes to the log that the dashboard shows on the actor's page."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - an actor's log is what it prints

    def __repr__(self) -> str:
        return self._title
