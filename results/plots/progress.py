"""The progress of several runs side by side: the best score so far, over trials and over training time."""

from collections.abc import Mapping

import pandas as pd
import plotly.express as px

from results import run_folder
from results.plots.optimization_history import BEST_SO_FAR
from results.plots.plot import Plot
from results.plots.style import RUN_COLORS, style_layout, style_score_axis
from results.snapshot import COMPLETE, RunSnapshot, best_score, in_order_of_end, state_of

RUN, TRIALS, HOURS = "run", "trials", "hours"
"""Columns: the run's name; how many of its trials have ended; their training time together."""


def progress_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """A row for each trial that has ended, in the order in which they ended: trials, hours, best so far."""
    ended = in_order_of_end(snapshot.search)
    scores = pd.Series(
        [best_score(trial) if state_of(trial) == COMPLETE else float("nan") for trial in ended], dtype="float64"
    )
    hours = pd.Series([float(trial.user_attrs.get(run_folder.SECONDS, 0)) / 3600 for trial in ended], dtype="float64")
    best = scores.cummax().ffill()
    return pd.DataFrame({TRIALS: range(1, len(ended) + 1), HOURS: hours.cumsum(), BEST_SO_FAR: best})


def progress_plots(snapshots: Mapping[str, RunSnapshot]) -> list[Plot]:
    """The best so far of several runs over trials and over training time, a plot each.

    Args:
        snapshots: snapshots of the runs, by the run's name.
    """
    table = pd.concat([progress_table(snapshot).assign(**{RUN: name}) for name, snapshot in snapshots.items()])
    metric_title = next(iter(snapshots.values())).metric_title
    plots = []
    for x, title, axis, note in (
        (TRIALS, "Best so far by trials", "trials ended", "Best score so far by trials that have ended."),
        (
            HOURS,
            "Best so far by training time",
            "hours of training",
            "Best score so far by hours of training, all trials of a run together.",
        ),
    ):
        figure = px.line(
            table,
            x=x,
            y=BEST_SO_FAR,
            color=RUN,
            line_dash=RUN,
            line_shape="hv",
            color_discrete_sequence=RUN_COLORS,
            template="none",
        )
        style_score_axis(figure, metric_title)
        figure.update_xaxes(title=axis)
        figure.update_traces(hovertemplate="%{y:.2%}<extra>%{fullData.name}</extra>")
        plots.append(Plot(x, title, note, style_layout(figure)))
    return plots
