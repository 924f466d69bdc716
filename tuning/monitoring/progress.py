"""Shows a study's progress: as a live screen in a terminal, as plain lines elsewhere."""

import contextlib
import io
import math
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
from results.snapshot import COMPLETE, DIVERGED, FAILED, PRUNED, best_score, curve_over_folds, state_of
from tuning.monitoring.job_progress import JobEnds, Row, job_rows, show_score
from tuning.study.study import Study

MAX_ENDED_SHOWN = 20
"""Ended trials that the live screen shows, if there is room."""


@dataclass(frozen=True)
class StudyProgress:
    """The progress of a study.

    Attributes:
        ended: trials that ended, in the order in which they did.
        running: a row for each running trial, with its last score; with cohorts for each running job.
        waiting: number of trials that wait for their next job; None without cohorts.
        total: number of trials in the end; None if it is not bounded.
        best: the best trial so far; None if there is none.
        baseline: the baseline's best score so far, in [0, 1]; None before its first epoch.
        seconds_left: a rough estimate; None if no trial has ended since the search was started.
    """

    ended: Sequence[FrozenTrial]
    running: list[Row]
    waiting: int | None
    total: int | None
    best: FrozenTrial | None
    baseline: float | None
    seconds_left: float | None


def progress_of(study: Study, elapsed: float, *, has_cohorts: bool = False) -> StudyProgress:
    """How far a study is.

    Args:
        study: the study.
        elapsed: seconds since this start of the search.
        has_cohorts: whether jobs are run, although none may run now.
    """
    total, ended = study.rules.trials, study.ended
    has_cohorts = has_cohorts or bool(study.jobs)
    in_jobs = {number for job in study.jobs.values() for number in job.trials}
    ended_now = len(ended) - study.ended_before
    return StudyProgress(
        ended=ended,
        running=job_rows(study) if has_cohorts else _trial_rows(study),
        waiting=len(study.live.keys() - in_jobs) if has_cohorts else None,
        total=total,
        best=study.best,
        baseline=baseline_score(study),
        seconds_left=elapsed / ended_now * (total - len(ended)) if ended_now and total else None,
    )


def _trial_rows(study: Study) -> list[Row]:
    return [
        (_name(live.trial), len(live.scores), live.scores[max(live.scores)] if live.scores else None)
        for _, live in sorted(study.live.items())
    ]


def baseline_score(study: Study) -> float | None:
    """The baseline's best score so far, in [0, 1]; None before its first epoch."""
    return max(curve_over_folds(_baseline_scores(study), study.fold_epochs).values(), default=None)


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

    A thread reads the study twice a second: reading a large study after every change would slow the search.
    Messages to stderr are kept meanwhile, and what is printed to stdout if that is the terminal too. When the screen is
    gone they are printed, below the final progress.
    """
    started, messages, printed = time.monotonic(), io.StringIO(), io.StringIO()
    latest, changed, has_cohorts = progress_of(study, 0.0), started, False

    def note_change() -> None:
        nonlocal changed, has_cohorts
        changed, has_cohorts = time.monotonic(), has_cohorts or bool(study.jobs)

    def update() -> StudyProgress:
        nonlocal latest
        latest = progress_of(study, changed - started, has_cohorts=has_cohorts)
        return latest

    def screen() -> RenderableType:
        with contextlib.suppress(RuntimeError):  # the search has changed a dictionary meanwhile: the next frame has it
            update()
        return _screen(latest, _heading(latest, title, time.monotonic() - started, messages), metric, console)

    study.on_change = note_change
    live = Live(
        console=console,
        get_renderable=screen,
        refresh_per_second=2,
        screen=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    try:
        stdout = contextlib.redirect_stdout(printed) if sys.stdout.isatty() else contextlib.nullcontext()
        with live, contextlib.redirect_stderr(messages), stdout:
            live.refresh()
            yield
    finally:
        console.print(_heading(update(), title, time.monotonic() - started))
        console.print(messages.getvalue(), end="", markup=False, highlight=False, soft_wrap=True)
        sys.stdout.write(printed.getvalue())
        sys.stdout.flush()


@contextmanager
def _print_lines(study: Study, title: str, console: Console) -> Iterator[None]:
    """Prints a line for each trial that ends; those that the end of their job stops share one."""
    started, shown, job_ends = time.monotonic(), len(study.ended), JobEnds(study)

    def print_ended(*, at_end: bool = False) -> None:
        nonlocal shown
        ended, shown = study.ended[shown:], len(study.ended)
        texts = [_outcome(trial) for trial in ended if not job_ends.collect(trial)]
        for text in [*texts, *job_ends.lines(at_end=at_end)]:
            elapsed = time.monotonic() - started
            console.print(_line(text, progress_of(study, elapsed), elapsed), highlight=False, soft_wrap=True)

    console.print(title, highlight=False)
    study.on_change = print_ended
    try:
        yield
    finally:
        print_ended(at_end=True)


def _outcome(trial: FrozenTrial) -> str:
    """How a trial ended."""
    return f"{_name(trial)} {trial.user_attrs.get(REASON) or COMPLETE}: {show_score(_best_score(trial))}"


def _line(text: str, now: StudyProgress, elapsed: float) -> str:
    """What has ended, and how far the study is."""
    best = f"best {show_score(now.best.value)} ({_name(now.best, width=0)})" if now.best else "no best yet"
    return (
        f"{_clock(elapsed)}  {text} | {best}, baseline {show_score(now.baseline)} | "
        f"{_ended(now)}{_left(now.seconds_left)}"
    )


def _heading(now: StudyProgress, title: str, elapsed: float, messages: io.StringIO | None = None) -> Text:
    """What is searched, how far it is, the best score and the baseline's, and the last message."""
    states = Counter(map(state_of, now.ended))
    counts = ", ".join(f"{states[state]} {state}" for state in (COMPLETE, PRUNED, DIVERGED, FAILED) if states[state])
    best = f"best {show_score(now.best.value)} ({_name(now.best, width=0)})" if now.best else "no complete trial yet"
    lines = [
        f"{_clock(elapsed)}  {_ended(now)}{': ' if counts else ''}{counts}{_running(now)}{_left(now.seconds_left)}",
        f"{best}, baseline {show_score(now.baseline)}",
        *(messages.getvalue().splitlines()[-1:] if messages else []),
    ]
    return Text("\n").join([Text(title, style="bold"), *map(Text, lines)])


def _screen(now: StudyProgress, heading: Text, metric: str, console: Console) -> RenderableType:
    """The live screen: the heading, the running trials and the last ended trials, as many as fit."""
    rows = [(name, "[bold]running[/]", str(epochs), show_score(score)) for name, epochs, score in now.running]
    for trial in reversed(now.ended[-MAX_ENDED_SHOWN:]):
        reason = escape(trial.user_attrs.get(REASON) or COMPLETE)
        rows.append((_name(trial), reason, str(len(trial.intermediate_values)), show_score(_best_score(trial))))
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


def _running(now: StudyProgress) -> str:
    if now.waiting is None:
        return f"; {len(now.running)} running" if now.running else ""
    cohorts = f"{len(now.running)} cohort{'' if len(now.running) == 1 else 's'} running"
    return f"; {cohorts}{f', {now.waiting} trials waiting' if now.waiting else ''}"


def _ended(now: StudyProgress) -> str:
    return f"{len(now.ended)}{'' if now.total is None else f' of {now.total}'} ended"


def _name(trial: FrozenTrial | Trial, width: int = 3) -> str:
    repeated = trial.user_attrs.get(CONFIRMS)
    return f"trial {trial.number:>{width}}" if repeated is None else f"repeat of trial {repeated}"


def _best_score(trial: FrozenTrial) -> float | None:
    return None if math.isnan(score := best_score(trial)) else score


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def _left(seconds: float | None) -> str:
    return "" if not seconds else f", about {_clock(seconds)} left"
