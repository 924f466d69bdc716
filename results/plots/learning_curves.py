"""Learning curves: the score after each epoch, of every trial."""

import math
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from results.plots.plot import Plot
from results.plots.points import LABEL, NO_CONFIG, points_table, thinned, thinned_note, trial_label
from results.plots.style import MARKERS, STATE_COLORS, STATE_SYMBOLS, style_layout, style_score_axis
from results.snapshot import RunSnapshot, epoch_scores, state_of
from results.tables.columns import CONFIG, SCORE, STATE, TRIAL
from results.tables.trials import config_names

EPOCH_NUMBER = "epoch"
"""Column: number of the epoch, from 1 on."""


def learning_curves_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """Every scored epoch of every trial: trial, config, state, label, epoch, score."""
    names = config_names(snapshot)
    rows = [
        (trial.number, names.get(trial.number, NO_CONFIG), state_of(trial), trial_label(trial), epoch, score)
        for trial in snapshot.search
        for epoch, score in epoch_scores(trial).items()
    ]
    return pd.DataFrame(rows, columns=[TRIAL, CONFIG, STATE, LABEL, EPOCH_NUMBER, SCORE])


def add_gaps(curves: pd.DataFrame) -> pd.DataFrame:
    """Curves with an empty row after each trial, so that one trace can draw all of them as separate lines."""
    if curves.empty:
        return curves
    gaps = curves.drop_duplicates(TRIAL).assign(**{EPOCH_NUMBER: float("inf"), SCORE: float("nan")})
    joined = pd.concat([curves, gaps]).sort_values([TRIAL, EPOCH_NUMBER], ignore_index=True)
    return joined.assign(**{EPOCH_NUMBER: joined[EPOCH_NUMBER].where(joined[SCORE].notna())})


def learning_curves_plot(snapshot: RunSnapshot) -> Plot:
    """A line for each trial, coloured by state; the best and the baseline stand out.

    All trials of a state are one trace: a browser takes many seconds for a thousand, which is why Optuna's own plot of
    intermediate values is not used.
    """
    points, figure = points_table(snapshot), go.Figure()
    table = learning_curves_table(snapshot)
    table = table[table[TRIAL].isin(thinned(points)[TRIAL])]
    for state, symbol in STATE_SYMBOLS.items():
        rows = add_gaps(table[(table[STATE] == state) & (table[CONFIG] == NO_CONFIG)])
        if not rows.empty:
            figure.add_trace(_lines(rows, state, {"color": STATE_COLORS[state], "width": 1}, 4, symbol))
            figure.data[-1].opacity = 0.65
    for config, (symbol, size, color) in MARKERS.items():
        rows = table[table[CONFIG] == config]
        if not rows.empty:
            figure.add_trace(_lines(rows, config, {"color": color, "width": 3}, size * 0.6, symbol))
    epochs = 0 if table.empty else table[EPOCH_NUMBER].max()
    figure.update_xaxes(title="epoch", dtick=max(1, math.ceil(epochs / 10)))
    style_score_axis(figure, snapshot.metric_title)
    note = "Validation score after each epoch, of every trial." + thinned_note(len(points))
    return Plot("curves", "Learning curves", note, style_layout(figure))


def _lines(rows: pd.DataFrame, name: str, line: Mapping[str, object], size: float, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=rows[EPOCH_NUMBER],
        y=rows[SCORE],
        text=rows[LABEL],
        mode="lines+markers",
        line=dict(line),
        marker={"size": size, "symbol": symbol},
        name=name,
        hovertemplate="epoch %{x}: %{y:.2%}<br>%{text}<extra></extra>",
    )
