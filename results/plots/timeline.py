"""The timeline: which trial ran where and when."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import pandas as pd
import plotly.express as px
from optuna.trial import FrozenTrial

from results.plots.palette import PURPLE
from results.plots.plot import Plot
from results.plots.points import LABEL, trial_label
from results.plots.style import STATE_COLORS, style_layout
from results.snapshot import RunSnapshot, started, state_of
from results.tables.costs import Slot, assign_slots

SLOT, START, END, KIND = "slot", "start", "end", "kind"
"""Columns: the name of the slot that a trial ran in, from when to when, and its state in the search or FRESH_SEED."""

FRESH_SEED = "fresh seed"
"""Value of `kind` for a run under a fresh seed."""

COLORS = STATE_COLORS | {FRESH_SEED: PURPLE}


def timeline_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """A row for each trial that was started, by start: slot, start, end, kind, label.

    Trials that have not ended are shown up to the last start or end of any trial.
    """
    until = _last_time(snapshot.all_trials)
    placed = assign_slots(snapshot.all_trials, until)
    names = slot_names([slot for _, slot in placed])
    # By object, not by number: a trial of the search and a run under a fresh seed can have the same number.
    kinds = {id(trial): state_of(trial) for trial in snapshot.search}
    rows = [
        (
            names[slot],
            started(trial),
            trial.datetime_complete or until,
            kinds.get(id(trial), FRESH_SEED),
            trial_label(trial),
        )
        for trial, slot in placed
    ]
    return pd.DataFrame(rows, columns=[SLOT, START, END, KIND, LABEL])


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
    """A bar for each trial in its slot, coloured by state; None if no trial was started."""
    table = timeline_table(snapshot)
    if table.empty:
        return None
    figure = px.timeline(
        table,
        x_start=START,
        x_end=END,
        y=SLOT,
        color=KIND,
        color_discrete_map=COLORS,
        category_orders={SLOT: sorted(table[SLOT].unique()), KIND: list(COLORS)},
        custom_data=[LABEL],
        template="none",
    )
    figure.update_traces(
        hovertemplate="%{customdata[0]}<br>%{base|%H:%M:%S} to %{x|%H:%M:%S}<extra></extra>",
        marker_line={"width": 1, "color": "rgba(127,127,127,0.6)"},
    )
    figure.update_xaxes(title="")
    figure.update_yaxes(title="")
    note = "Which trial ran where and when; gaps are idle time."
    height = 160 + 34 * table[SLOT].nunique()
    return Plot("timeline", "Timeline", note, style_layout(figure, height), wide=True)


def _last_time(trials: Sequence[FrozenTrial]) -> datetime | None:
    """The last start or end of any trial."""
    times = [time for trial in trials for time in (started(trial), trial.datetime_complete) if time]
    return max(times, default=None)
