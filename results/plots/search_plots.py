"""Draws the plots of a search with plotly.

All trials of a state are one trace: a thousand would take a browser many seconds, which is why Optuna's own plots
of learning curves and parallel coordinates are not used.
"""

import math
from collections.abc import Mapping

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from results.plots import plot_data as plots
from results.plots.parallel_coordinates import axes
from results.plots.plot_data import END_TIME, EPOCH, KIND, LABEL, LANE, PLAIN, SO_FAR, START
from results.plots.plot_style import COLORS, MARKS, SCALE, SYMBOLS, Plot, finish
from results.snapshot import Record
from results.tables.trials import CONFIG, SCORE, STATE, TIME, TRIAL

_ORDER = {STATE: list(SYMBOLS)}


def search_plots(record: Record, shares: Mapping[str, float]) -> list[Plot]:
    """The plots of a search; those that have nothing to show are left out.

    Args:
        record: of the search.
        shares: importance of each hyperparameter.
    """
    table, title = plots.points(record), record.metric_title
    if table.empty:
        return _times(record)
    made = [
        Plot(
            "history", "Optimisation history", "Each trial's best epoch; the line is the best so far.", _history(table)
        ),
        Plot("curves", "Learning curves", "Validation score after each epoch, of every trial.", _curves(record)),
        *_importance(shares),
        Plot(
            "cost",
            f"{title[0].upper()}{title[1:]} against cost",
            "Up and to the left is better: more for less training time.",
            _cost(table),
            wide=not shares,
        ),
        *_slices(record, table),
        *_parallel(record, table),
        *_times(record),
    ]
    for plot in made:
        _name_score(plot.figure, title)
    return made


def _history(table: pd.DataFrame) -> go.Figure:
    told = plots.history(table)
    figure = _scatter(told, TRIAL)
    figure.add_scatter(
        x=told[TRIAL],
        y=told[SO_FAR],
        mode="lines",
        line={"shape": "hv", "color": "#0072B2"},
        name=SO_FAR,
        hoverinfo="skip",
    )
    figure.update_xaxes(title="trial")
    return finish(figure)


def _curves(record: Record) -> go.Figure:
    told, figure = plots.curves(record), go.Figure()
    for state in SYMBOLS:
        rows = plots.with_gaps(told[(told[STATE] == state) & (told[CONFIG] == PLAIN)])
        if not rows.empty:
            figure.add_trace(_lines(rows, state, {"color": COLORS[state], "width": 1}, 4, SYMBOLS[state]))
            figure.data[-1].opacity = 0.65
    for config, (symbol, size, color) in MARKS.items():
        rows = told[told[CONFIG] == config]
        if not rows.empty:
            figure.add_trace(_lines(rows, config, {"color": color, "width": 3}, size * 0.6, symbol))
    figure.update_xaxes(title="epoch", dtick=max(1, math.ceil(told[EPOCH].max() / 10)))
    figure.update_yaxes(tickformat=".1~%")
    return finish(figure)


def _lines(rows: pd.DataFrame, name: str, line: Mapping[str, object], size: float, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=rows[EPOCH],
        y=rows[SCORE],
        text=rows[LABEL],
        mode="lines+markers",
        line=dict(line),
        marker={"size": size, "symbol": symbol},
        name=name,
        hovertemplate="epoch %{x}: %{y:.2%}<br>%{text}<extra></extra>",
    )


def _importance(shares: Mapping[str, float]) -> list[Plot]:
    if not shares:
        return []
    names, values = list(shares), list(shares.values())
    figure = px.bar(
        x=values,
        y=names,
        orientation="h",
        text=[f"{100 * value:.0f} %" for value in values],
        color_discrete_sequence=["#0072B2"],
        template="none",
    )
    figure.update_traces(hovertemplate="%{y}: %{x:.1%}<extra></extra>", cliponaxis=False)
    figure.update_xaxes(tickformat=".0%", title="share of importance", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", title="")
    note = "PED-ANOVA: what sets the best trials apart from the rest. With few trials, a hint."
    return [Plot("importance", "Importance", note, finish(figure))]


def _cost(table: pd.DataFrame) -> go.Figure:
    figure = _scatter(table, TIME)
    figure.update_xaxes(title="training time (s)")
    return finish(figure)


def _slices(record: Record, table: pd.DataFrame) -> list[Plot]:
    made = []
    found = {name: kind for trial in record.search for name, kind in trial.distributions.items()}
    for name, kind in found.items():
        column = name if name in table.columns[: list(table.columns).index(SCORE)] else f"{name} (parameter)"
        rows = table[table[column].notna()]
        if rows.empty:
            continue
        figure = _scatter(rows.assign(**{column: rows[column].astype(str)}) if _is_choice(kind) else rows, column)
        if _is_choice(kind):
            figure.update_xaxes(type="category")
        elif isinstance(kind, FloatDistribution | IntDistribution) and kind.log:
            figure.update_xaxes(type="log", dtick="D1" if kind.high / kind.low < 20 else 1, exponentformat="power")
        figure.update_xaxes(title=name)
        made.append(Plot(f"slice-{name}", name, f"Every trial's score by its {name}.", finish(figure, 300)))
    return made


def _is_choice(kind: object) -> bool:
    return isinstance(kind, CategoricalDistribution)


def _parallel(record: Record, table: pd.DataFrame) -> list[Plot]:
    dimensions = axes(record, table)
    if len(dimensions) < 2:
        return []
    figure = go.Figure(
        go.Parcoords(
            line={
                "color": table[SCORE],
                "colorscale": SCALE,
                "showscale": True,
                "colorbar": {"tickformat": ".0%", "thickness": 12},
            },
            dimensions=dimensions,
        )
    )
    note = "A line for each trial. Drag along an axis to keep the trials in that range; click the axis to let go."
    finish(figure, 420).update_layout(margin={"l": 60, "r": 10, "t": 50, "b": 20})
    return [Plot("parallel", "Parallel coordinates", note, figure, wide=True)]


def _times(record: Record) -> list[Plot]:
    told = plots.timeline(record)
    if told.empty:
        return []
    figure = px.timeline(
        told,
        x_start=START,
        x_end=END_TIME,
        y=LANE,
        color=KIND,
        color_discrete_map=COLORS,
        category_orders={LANE: sorted(told[LANE].unique()), KIND: list(COLORS)},
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
    height = 160 + 34 * told[LANE].nunique()
    return [Plot("timeline", "Timeline", note, finish(figure, height), wide=True)]


def _scatter(table: pd.DataFrame, x: str) -> go.Figure:
    """Scores against a column, by state, with best and baseline standing out."""
    figure = px.scatter(
        table,
        x=x,
        y=SCORE,
        color=STATE,
        symbol=STATE,
        color_discrete_map=COLORS,
        symbol_map=SYMBOLS,
        category_orders=_ORDER,
        custom_data=[LABEL],
        template="none",
    )
    figure.update_traces(marker={"size": 8, "opacity": 0.8}, hovertemplate="%{customdata[0]}<extra></extra>")
    for config, (symbol, size, color) in MARKS.items():
        rows = table[table[CONFIG] == config]
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
    figure.update_yaxes(tickformat=".1~%")
    return figure


def _name_score(figure: go.Figure, title: str) -> None:
    """Calls the axis of the score by its metric."""
    figure.for_each_yaxis(lambda axis: axis.update(title=title) if axis.tickformat == ".1~%" else None)
