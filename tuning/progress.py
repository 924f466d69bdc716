"""Progress a person can read: one live screen in a terminal, plain lines elsewhere."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tuning.run_folder import CONFIRMS, REASON
from tuning.study import Study


@dataclass(frozen=True)
class Standing:
    """Where a study stands.

    Attributes:
        ended: trials that ended, oldest first.
        running: each running trial's name, epochs and last score (None before the first epoch).
        total: trials in the end; None if their number is not bounded.
        best: the complete trial with the best score.
        baseline: the baseline's best score so far.
        seconds_left: a rough guess; None while there is nothing to go by.
    """

    ended: Sequence[FrozenTrial]
    running: list[tuple[str, int, float | None]]
    total: int | None
    best: FrozenTrial | None
    baseline: float | None
    seconds_left: float | None


def standing(study: Study, elapsed: float) -> Standing:
    """Where `study` stands after `elapsed` seconds."""
    total, ended = study.rules.trials, study.ended
    return Standing(
        ended=ended,
        running=[
            (_name(live.trial), len(live.scores), live.scores[max(live.scores)] if live.scores else None)
            for _, live in sorted(study.live.items())
        ],
        total=total,
        best=study.best,
        baseline=baseline_score(study),
        seconds_left=elapsed / len(ended) * (total - len(ended)) if ended and total else None,
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
    """Shows a study's progress on stderr for as long as the context lasts; `metric` is the title of its scores."""
    console = console or Console(file=sys.stderr)
    started = time.monotonic()
    latest = [standing(study, 0.0)]

    def look() -> Standing:
        latest[0] = standing(study, time.monotonic() - started)
        return latest[0]

    def screen() -> RenderableType:
        return _screen(latest[0], title, metric, time.monotonic() - started)

    shown = 0

    def print_ended() -> None:
        nonlocal shown
        for trial in study.ended[shown:]:
            line = _line(trial, look(), time.monotonic() - started)
            console.print(line, highlight=False, soft_wrap=True)
        shown = len(study.ended)

    try:
        if console.is_terminal and not console.is_dumb_terminal:
            study.on_change = look
            with Live(console=console, get_renderable=screen, refresh_per_second=2, transient=True):
                yield
        else:
            console.print(title, highlight=False)
            study.on_change = print_ended
            yield
    finally:
        study.on_change = lambda: None


def _line(trial: FrozenTrial, now: Standing, elapsed: float) -> str:
    """One ended trial, and where the search stands."""
    reason = trial.user_attrs.get(REASON) or "complete"
    best = f"best {_percent(now.best.value)} (trial {now.best.number})" if now.best else "no best yet"
    return (
        f"{_clock(elapsed)}  {_name(trial)} {reason}: {_percent(_best_score(trial))} | {best}, "
        f"baseline {_percent(now.baseline)} | {_ended(now)}{_left(now.seconds_left)}"
    )


def _screen(now: Standing, title: str, metric: str, elapsed: float) -> RenderableType:
    """The live screen: counts, best against baseline, running trials, the last that ended."""
    states = Counter(trial.state for trial in now.ended)
    counts = (
        f"{_clock(elapsed)}  {_ended(now)}: {states[TrialState.COMPLETE]} complete, "
        f"{states[TrialState.PRUNED]} pruned, {states[TrialState.FAIL]} failed; {len(now.running)} running"
        f"{_left(now.seconds_left)}"
    )
    best = f"best {_percent(now.best.value)} (trial {now.best.number})" if now.best else "no complete trial yet"
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    table.add_column("state")
    table.add_column("epochs", justify="right")
    table.add_column(metric, justify="right")
    for name, epochs, score in now.running:
        table.add_row(name, "[bold]running[/]", str(epochs), _percent(score))
    for trial in reversed(now.ended[-6:]):
        reason = trial.user_attrs.get(REASON) or "complete"
        table.add_row(_name(trial), reason, str(len(trial.intermediate_values)), _percent(_best_score(trial)))
    return Group(Text(title, style="bold"), Text(counts), Text(f"{best}, baseline {_percent(now.baseline)}"), table)


def _ended(now: Standing) -> str:
    return f"{len(now.ended)}{'' if now.total is None else f' of {now.total}'} ended"


def _name(trial: FrozenTrial | Trial) -> str:
    repeated = trial.user_attrs.get(CONFIRMS)
    return f"trial {trial.number:>3}" if repeated is None else f"repeat of trial {repeated}"


def _best_score(trial: FrozenTrial) -> float | None:
    return max(trial.intermediate_values.values(), default=None)


def _percent(score: float | None) -> str:
    return "–" if score is None else f"{score:.2%}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def _left(seconds: float | None) -> str:
    return "" if not seconds else f", about {_clock(seconds)} left"
