"""What the Ray dashboard shows of a running trial.

Imports nothing, because every trial starts a process that imports this.
"""


class Trial:
    """An actor that shows a running trial in the dashboard's actor list and does nothing else.

    A worker outlives its trials, and Ray fixes how an actor is shown when it starts. So each trial
    gets an actor of its own to be recognised by.
    """

    def __init__(self, title: str) -> None:
        self._title = title

    def __repr__(self) -> str:
        return self._title
