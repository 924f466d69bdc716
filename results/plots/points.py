"""Every trial as a point: the table and the scatter plot that several plots share."""

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from optuna.trial import FrozenTrial

from results.plots.style import MARKERS, STATE_COLORS, STATE_SYMBOLS, style_score_axis
from results.snapshot import RunSnapshot, best_score, state_of
from results.tables.columns import CONFIG, SCORE, STATE, TRIAL
from results.tables.formatting import show_percent, show_value
from results.tables.trials import config_names, trial_table

LABEL = "label"
"""Column: the text that is shown when the mouse is over a trial."""

NO_CONFIG = ""
"""Value of `config` for a trial that is neither the best nor the baseline."""


def points_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """Every trial that has a score, by number.

    Returns:
        the columns of the trial table, config (best, baseline or empty) and label.
    """
    if "points" not in snapshot.tables:
        snapshot.tables["points"] = _points_table(snapshot)
    table: pd.DataFrame = snapshot.tables["points"]
    return table.copy()


def _points_table(snapshot: RunSnapshot) -> pd.DataFrame:
    table = trial_table(snapshot)
    table = table[table[SCORE].notna()].sort_values(TRIAL, ignore_index=True)
    names, labels = config_names(snapshot), {trial.number: trial_label(trial) for trial in snapshot.search}
    table[CONFIG] = pd.Series([names.get(number, NO_CONFIG) for number in table[TRIAL]], dtype="str")
    table[LABEL] = pd.Series([labels[number] for number in table[TRIAL]], dtype="str")
    return table


MOST_POINTS = 1000
"""Trials that a plot shows at most: more lie on top of each other, and a browser takes seconds for them."""


def thinned(points: pd.DataFrame) -> pd.DataFrame:
    """The points that can be told apart: of more than `MOST_POINTS`, a half of them the best, and every n-th other.

    The best trial and the baseline are always among them.
    """
    if len(points) <= MOST_POINTS:
        return points
    best = points[SCORE].rank(method="first", ascending=False) <= MOST_POINTS / 2
    others = points.index[~best]
    kept = best | (points[CONFIG] != NO_CONFIG) | points.index.isin(others[:: -(-2 * len(others) // MOST_POINTS)])
    return points[kept].reset_index(drop=True)


def thinned_note(trials: int) -> str:
    """What a plot says of trials that it leaves out; empty for none."""
    return f" Of {trials:,} trials, the best and a part of the others." if trials > MOST_POINTS else ""


def trial_label(trial: FrozenTrial) -> str:
    """A trial's number, state and score in one line, then a line for each parameter."""
    values = [f"{name} {show_value(name, value)}" for name, value in trial.params.items()]
    return "<br>".join([f"trial {trial.number}, {state_of(trial)}, {show_percent(best_score(trial))}", *values])


def scatter_plot(points: pd.DataFrame, x: str, metric_title: str) -> go.Figure:
    """Scores over a column of `points_table`: a trace for each state, one for the best and one for the baseline.

    All trials of a state are one trace, because a browser takes many seconds to draw a thousand traces.
    """
    figure = px.scatter(
        points,
        x=x,
        y=SCORE,
        color=STATE,
        symbol=STATE,
        color_discrete_map=STATE_COLORS,
        symbol_map=STATE_SYMBOLS,
        category_orders={STATE: list(STATE_SYMBOLS)},
        custom_data=[LABEL],
        template="none",
    )
    figure.update_traces(marker={"size": 8, "opacity": 0.8}, hovertemplate="%{customdata[0]}<extra></extra>")
    for config, (symbol, size, color) in MARKERS.items():
        rows = points[points[CONFIG] == config]
        if not rows.empty:
            figure.add_scatter(
                x=rows[x],
                y=rows[SCORE],
                customdata=rows[[LABEL]],
                mode="markers",
                marker={"symbol": symbol, "size": size, "color": color, "line": {"width": 1, "color": "white"}},
                name=config,
                hovertemplate="%{customdata[0]}<extra></extra>",
            )
    style_score_axis(figure, metric_title)
    return figure
