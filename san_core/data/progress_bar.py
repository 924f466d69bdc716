"""A progress bar on stderr."""

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Speed(ProgressColumn):
    """Items per second: recently, and at the end over the whole run."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.speed
        if task.finished_time:
            speed = (task.completed - task.fields.get("done_before", 0)) / task.finished_time
        return Text("" if speed is None else f"{speed:,.{0 if speed >= 10 else 1}f} {self._unit}/s")


def progress_bar(unit: str, *, terminal_only: bool = False) -> Progress:
    """A progress bar on stderr with counts, speed and the time left.

    Give `add_task` the field `done_before` where an earlier run has done a part.

    Args:
        unit: name of the things counted, such as `images`.
        terminal_only: print nothing if stderr is not a terminal; otherwise the finished bar is printed there.
    """
    console = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(unit),
        TimeRemainingColumn(),
        console=console,
        disable=terminal_only and (not console.is_terminal or console.is_dumb_terminal),
    )
