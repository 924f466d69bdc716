"""The timeline: which trial, or with cohorts which job, ran where and when."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise

import pandas as pd
import plotly.express as px
from plotly.colors import sample_colorscale

from results.plots.palette import BLUE, GOLD, GREEN, PURPLE
from results.plots.plot import Plot
from results.plots.points import LABEL, trial_label
from results.plots.style import STATE_COLORS, style_layout
from results.run_folder import CONFIRMS
from results.snapshot import RUNNING, RunSnapshot, ended, epoch_scores, started, state_of
from results.tables.formatting import show_percent
from results.tables.slots import Slot, Span, all_spans, assign_slots

SLOT, START, END, KIND, NUMBER = "slot", "start", "end", "kind", "number"
"""Columns: the slot's name, start and end in UTC, what the colour says, and a job's number as text.

The colour says the state of a trial that ran alone, or the epochs that a job's trials have at its end; or FRESH_SEED.
"""

FRESH_SEED = "fresh seed"
"""Value of `kind` for a run under a fresh seed."""

MAX_EPOCH_KINDS = 6
"""Most colours of jobs; from there on neighbouring numbers of epochs share one."""

EPOCH_SCALE = [GOLD, GREEN, BLUE]
"""Colours of jobs from few to many epochs. All of them are visible on a light and on a dark page."""


def timeline_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """A row for each trial or job that was started, by start: slot, start, end, kind, name, label.

    What has not ended is shown up to the last start or end of any trial or job.
    """
    placed = assign_slots(all_spans(snapshot, _last_time(snapshot)))
    names = slot_names([slot for _, slot in placed])
    kinds = epoch_kinds([job.last for job in snapshot.jobs])
    # By object, not by number: a trial of the search and a run under a fresh seed can have the same number.
    searched = {id(trial) for trial in snapshot.search}
    rows = [
        (
            names[slot],
            span.start,
            span.end,
            _kind(span, kinds) if id(span.trials[0]) in searched else FRESH_SEED,
            str(span.number) if span.job else "",
            span_label(span),
        )
        for span, slot in placed
    ]
    return pd.DataFrame(rows, columns=[SLOT, START, END, KIND, NUMBER, LABEL])


def epoch_kinds(epochs: Iterable[int]) -> dict[int, str]:
    """What a job's colour says, by the epochs that its trials have at its end: to epoch 3, or to epoch 4-6."""
    ordered = sorted(set(epochs))
    count = min(len(ordered), MAX_EPOCH_KINDS)
    bounds = [round(part * len(ordered) / count) for part in range(count + 1)] if count else []
    groups = [ordered[start:end] for start, end in pairwise(bounds)]
    return {
        epoch: f"to epoch {'-'.join(map(str, sorted({group[0], group[-1]})))}" for group in groups for epoch in group
    }


def span_label(span: Span) -> str:
    """The text that is shown when the mouse is over a span: of a job, its trials, epochs and best score so far."""
    job, trials = span.job, span.trials
    if job is None:
        return trial_label(trials[0])
    best = max(
        (score for trial in trials for epoch, score in epoch_scores(trial).items() if epoch <= job.last),
        default=math.nan,
    )
    title = job.title({trial.user_attrs[CONFIRMS] for trial in trials if CONFIRMS in trial.user_attrs})
    return f"{title}, {job.epochs}" + ("" if math.isnan(best) else f"<br>best {show_percent(best)}")


def slot_names(slots: Iterable[Slot]) -> dict[Slot, str]:
    """A name for each slot, in the order of workers and numbers: the worker's, numbered if it has several slots.

    The page calls a slot "lane" where the worker was not recorded, as for a trial that failed before its first epoch.
    """
    ordered = sorted(set(slots))
    several = {worker for worker, slot in ordered if slot}
    return {
        (worker, slot): (f"{worker} ({slot + 1})" if worker in several else worker) if worker else f"lane {slot + 1}"
        for worker, slot in ordered
    }


def timeline_plot(snapshot: RunSnapshot) -> Plot | None:
    """A bar for each trial or job in its slot, coloured by its kind; None if nothing was started."""
    table = timeline_table(snapshot)
    if table.empty:
        return None
    colors = _colors(snapshot)
    times = {name: table[name].dt.tz_localize(None) for name in (START, END)}  # Plotly knows no time zones
    figure = px.timeline(
        table.assign(**times),
        x_start=START,
        x_end=END,
        y=SLOT,
        color=KIND,
        color_discrete_map=colors,
        category_orders={SLOT: sorted(table[SLOT].unique()), KIND: list(colors)},
        custom_data=[LABEL],
        text=NUMBER if snapshot.jobs else None,
        template="none",
    )
    figure.update_traces(
        hovertemplate="%{customdata[0]}<br>%{base|%H:%M:%S} to %{x|%H:%M:%S} UTC<extra></extra>",
        marker_line={"width": 1, "color": "rgba(127,127,127,0.6)"},
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
    )
    figure.update_layout(uniformtext={"minsize": 10, "mode": "hide"})  # hides a number that does not fit its bar
    figure.update_xaxes(title="time (UTC)")
    figure.update_yaxes(title="")
    what = "cohort ran where and when, with its number" if snapshot.jobs else "trial ran where and when"
    note = f"Which {what}; gaps are idle time."
    height = 160 + 34 * table[SLOT].nunique()
    return Plot("timeline", "Timeline", note, style_layout(figure, height), wide=True)


def _kind(span: Span, kinds: Mapping[int, str]) -> str:
    if span.job is None:
        return state_of(span.trials[0])
    return kinds[span.job.last] if span.job.ended else RUNNING


def _colors(snapshot: RunSnapshot) -> dict[str, str]:
    """The colour of each kind, in the order of the legend."""
    kinds = list(dict.fromkeys(epoch_kinds(job.last for job in snapshot.jobs).values()))
    positions = [index / max(1, len(kinds) - 1) for index in range(len(kinds))]
    scale = sample_colorscale(EPOCH_SCALE, positions) if kinds else []
    return {**dict(zip(kinds, scale, strict=True)), **STATE_COLORS, FRESH_SEED: PURPLE}


def _last_time(snapshot: RunSnapshot) -> datetime | None:
    """The last start or end of any trial or job."""
    of_trials = [time for trial in snapshot.all_trials for time in (started(trial), ended(trial))]
    of_jobs = [time for job in (*snapshot.jobs, *snapshot.confirmation_jobs) for time in (job.started, job.ended)]
    return max((time for time in (*of_trials, *of_jobs) if time), default=None)
