"""Shows a study's progress: as a live screen in a terminal, as plain lines elsewhere."""

import contextlib
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from optuna.trial import FrozenTrial, Trial
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from results.run_folder import CONFIRMS, REASON
from results.snapshot import COMPLETE, DIVERGED, FAILED, PRUNED, state_of
from tuning.study.study import Study

MAX_ENDED_SHOWN = 20
"""Ended trials that the live screen shows, if there is room."""


@dataclass(frozen=True)
class StudyProgress:
    """The progress of a study.

    Attributes:
        ended: trials that ended, in the order in which they did.
        running: name, epochs and last score of each running trial; the score is None before the first epoch.
        total: number of trials in the end; None if it is not bounded.
        best: the best trial so far; None if there is none.
        baseline: the baseline's best score so far, in [0, 1]; None before its first epoch.
        seconds_left: a rough estimate; None if no trial has ended since the search was started.
    """

    ended: Sequence[FrozenTrial]
    running: list[tuple[str, int, float | None]]
    total: int | None
    best: FrozenTrial | None
    baseline: float | None
    seconds_left: float | None


def progress_of(study: Study, elapsed: float) -> StudyProgress:
    """The progress of a study, `elapsed` seconds after this start of the search."""
    total, ended = study.rules.trials, study.ended
    ended_now = len(ended) - study.ended_before
    return StudyProgress(
        ended=ended,
        running=[
            (_name(live.trial), len(live.scores), live.scores[max(live.scores)] if live.scores else None)
            for _, live in sorted(study.live.items())
        ],
        total=total,
        best=study.best,
        baseline=baseline_score(study),
        seconds_left=elapsed / ended_now * (total - len(ended)) if ended_now and total else None,
    )


def baseline_score(study: Study) -> float | None:
    """The baseline's best score so far, in [0, 1]; None before its first epoch."""
    return max(_baseline_scores(study).values(), default=None)


def _baseline_scores(study: Study) -> Mapping[int, float]:
    if study.baseline is None:
        return {}
    if live := study.live.get(study.baseline):
        return live.scores
    return next((trial.intermediate_values for trial in study.ended if trial.number == study.baseline), {})


@contextmanager
def show_progress(study: Study, title: str, console: Console | None = None, metric: str = "accuracy") -> Iterator[None]:
    """Shows a study's progress for as long as the context lasts.

    Args:
        study: the study; its `on_change` is set meanwhile.
        title: heading of the progress.
        console: console to print to; None for stderr.
        metric: title of the scores.
    """
    console = console or Console(file=sys.stderr)
    can_redraw = console.is_terminal and not console.is_dumb_terminal
    try:
        with _live_screen(study, title, metric, console) if can_redraw else _print_lines(study, title, console):
            yield
    finally:
        study.on_change = lambda: None


@contextmanager
def _live_screen(study: Study, title: str, metric: str, console: Console) -> Iterator[None]:
    """Shows a screen of its own, which is redrawn as a whole, so that resizing the window does no harm.

    Messages to stderr are kept meanwhile. When the screen is gone they are printed, below the final progress.
    """
    started, messages = time.monotonic(), io.StringIO()
    latest = [progress_of(study, 0.0)]

    def update() -> StudyProgress:
        latest[0] = progress_of(study, time.monotonic() - started)
        return latest[0]

    def screen() -> RenderableType:
        return _screen(latest[0], _heading(latest[0], title, time.monotonic() - started, messages), metric, console)

    study.on_change = update
    live = Live(
        console=console,
        get_renderable=screen,
        refresh_per_second=2,
        screen=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    try:
        with live, contextlib.redirect_stderr(messages):
            live.refresh()
            yield
    finally:
        console.print(_heading(update(), title, time.monotonic() - started))
        console.print(messages.getvalue(), end="", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _print_lines(study: Study, title: str, console: Console) -> Iterator[None]:
    """Prints a line for each trial that ends."""
    started, shown = time.monotonic(), len(study.ended)

    def print_ended() -> None:
        nonlocal shown
        elapsed = time.monotonic() - started
        for trial in study.ended[shown:]:
            console.print(_line(trial, progress_of(study, elapsed), elapsed), highlight=False, soft_wrap=True)
        shown = len(study.ended)

    console.print(title, highlight=False)
    study.on_change = print_ended
    yield


def _line(trial: FrozenTrial, now: StudyProgress, elapsed: float) -> str:
    """A line about an ended trial and the progress of the study."""
    reason = trial.user_attrs.get(REASON) or "complete"
    best = f"best {_percent(now.best.value)} ({_name(now.best, width=0)})" if now.best else "no best yet"
    return (
        f"{_clock(elapsed)}  {_name(trial)} {reason}: {_percent(_best_score(trial))} | {best}, "
        f"baseline {_percent(now.baseline)} | {_ended(now)}{_left(now.seconds_left)}"
    )


def _heading(now: StudyProgress, title: str, elapsed: float, messages: io.StringIO | None = None) -> Text:
    """What is searched, how far it is, the best score and the baseline's, and the last message."""
    states = Counter(map(state_of, now.ended))
    counts = ", ".join(f"{states[state]} {state}" for state in (COMPLETE, PRUNED, DIVERGED, FAILED) if states[state])
    best = f"best {_percent(now.best.value)} ({_name(now.best, width=0)})" if now.best else "no complete trial yet"
    lines = [
        f"{_clock(elapsed)}  {_ended(now)}{': ' if counts else ''}{counts}"
        f"{f'; {len(now.running)} running' if now.running else ''}{_left(now.seconds_left)}",
        f"{best}, baseline {_percent(now.baseline)}",
        *(messages.getvalue().splitlines()[-1:] if messages else []),
    ]
    return Text("\n").join([Text(title, style="bold"), *map(Text, lines)])


def _screen(now: StudyProgress, heading: Text, metric: str, console: Console) -> RenderableType:
    """The live screen: the heading, the running trials and the last ended trials, as many as fit."""
    rows = [(name, "[bold]running[/]", str(epochs), _percent(score)) for name, epochs, score in now.running]
    for trial in reversed(now.ended[-MAX_ENDED_SHOWN:]):
        reason = escape(trial.user_attrs.get(REASON) or COMPLETE)
        rows.append((_name(trial), reason, str(len(trial.intermediate_values)), _percent(_best_score(trial))))
    room = max(0, console.height - len(console.render_lines(heading)) - 1)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("epochs", justify="right", no_wrap=True)
    table.add_column(metric, justify="right", no_wrap=True)
    fitting = rows if len(rows) <= room else rows[: max(0, room - 1)]
    for row in fitting:
        table.add_row(*row)
    hidden = len(now.running) - len(fitting)
    return Group(heading, table, Text(f"… {hidden} more running") if hidden > 0 else Text("", end=""))


def _ended(now: StudyProgress) -> str:
    return f"{len(now.ended)}{'' if now.total is None else f' of {now.total}'} ended"


def _name(trial: FrozenTrial | Trial, width: int = 3) -> str:
    repeated = trial.user_attrs.get(CONFIRMS)
    return f"trial {trial.number:>{width}}" if repeated is None else f"repeat of trial {repeated}"


def _best_score(trial: FrozenTrial) -> float | None:
    return max(trial.intermediate_values.values(), default=None)


def _percent(score: float | None) -> str:
    return "–" if score is None else f"{score:.2%}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def _left(seconds: float | None) -> str:
    return "" if not seconds else f", about {_clock(seconds)} left"
