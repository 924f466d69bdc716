"""Draws the plots of a report with plotly.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; every state has its own symbol too. Text,
grid and background follow the reader's light or dark theme, which the page sees to. All trials of a state are one
trace: a thousand traces would take a browser many seconds, which is why Optuna's own plots of learning curves and
parallel coordinates are not used.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from results import plots
from results.intervals import Sample, mean_interval
from results.parallel import axes
from results.plots import END_TIME, EPOCH, FRESH, KIND, LABEL, LANE, PLAIN, SO_FAR, START
from results.record import COMPLETE, FAILED, PRUNED, RUNNING, WAITING, Record
from results.tables import BASELINE, BEST, CONFIG, SCORE, STATE, TIME, TRIAL

COLORS = {
    COMPLETE: "#009E73",
    PRUNED: "#E69F00",
    FAILED: "#D55E00",
    RUNNING: "#56B4E9",
    WAITING: "#999999",
    FRESH: "#CC79A7",
}
SYMBOLS = {COMPLETE: "circle", PRUNED: "triangle-down", FAILED: "x", RUNNING: "square", WAITING: "cross"}
MARKS = {BEST: ("star", 15, "#0072B2"), BASELINE: ("diamond", 11, "#CC79A7")}
"""Symbol, size in pixels and colour of the trials that stand out."""

SCALE = [[0, "#D55E00"], [0.5, "#C9A227"], [1, "#1E88C9"]]
"""From low to high scores; no end of it is as dark or as light as a page."""

HEIGHT = 360
"""Of a plot, in pixels."""

_ORDER = {STATE: list(SYMBOLS)}


@dataclass(frozen=True)
class Plot:
    """A plot of a report.

    Attributes:
        key: identifies it in the page.
        title: what it shows.
        note: how to read it, a sentence.
        figure: plotly's figure, without a theme.
        wide: whether it takes the whole width of the page.
    """

    key: str
    title: str
    note: str
    figure: go.Figure
    wide: bool = False


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


def seeds_plot(record: Record) -> go.Figure:
    """Each repeated trial's scores under fresh seeds, their mean and its 95 % interval."""
    table = plots.seeds(record)
    groups = {number: group[SCORE].tolist() for number, group in table.groupby(TRIAL, sort=False)}
    names = [_seeds_name(table, number) for number in groups]
    means = [mean_interval(Sample.of(scores)) for scores in groups.values()]
    figure = go.Figure(
        [
            go.Scatter(
                x=[interval.middle for interval in means],
                y=names,
                error_x={"array": [0 if math.isnan(interval.half) else interval.half for interval in means]},
                mode="markers",
                marker={"size": 11, "color": MARKS[BEST][2], "symbol": "diamond"},
                name="mean, 95 % interval",
                hovertemplate="%{y}: %{x:.2%}<extra></extra>",
            ),
            go.Scatter(
                x=table[SCORE],
                y=[name for name, scores in zip(names, groups.values(), strict=True) for _ in scores],
                mode="markers",
                marker={"size": 9, "color": COLORS[PRUNED], "symbol": "circle-open", "line": {"width": 2}},
                name="one seed",
                hovertemplate="%{y}: %{x:.2%}<extra></extra>",
            ),
        ]
    )
    figure.update_xaxes(tickformat=".1%", title=record.metric_title)
    figure.update_yaxes(autorange="reversed", type="category")
    return _finish(figure, 130 + 42 * len(names))


def progress_plots(records: Mapping[str, Record]) -> list[Plot]:
    """The best so far of several runs, against trials and against training time."""
    table = pd.concat([plots.progress(record).assign(run=name) for name, record in records.items()])
    title = next(iter(records.values())).metric_title
    made = []
    for key, x, note in (
        ("trials", "trials", "Best score so far by trials that have ended."),
        ("hours", "hours", "Best score so far by hours of training, all trials of a run together."),
    ):
        figure = px.line(
            table,
            x=x,
            y=SO_FAR,
            color="run",
            line_dash="run",
            line_shape="hv",
            color_discrete_sequence=["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"],
            template="none",
        )
        figure.update_yaxes(tickformat=".1~%", title=title)
        figure.update_xaxes(title={"trials": "trials ended", "hours": "hours of training"}[key])
        figure.update_traces(hovertemplate="%{y:.2%}<extra>%{fullData.name}</extra>")
        made.append(
            Plot(key, f"Best so far by {'trials' if key == 'trials' else 'training time'}", note, _finish(figure))
        )
    return made


def _history(table: pd.DataFrame) -> go.Figure:
    told = plots.history(table)
    figure = _scatter(told, TRIAL)
    figure.add_scatter(
        x=told[TRIAL], y=told[SO_FAR], mode="lines", line={"shape": "hv", "color": "#0072B2"}, name=SO_FAR,
        hoverinfo="skip",
    )  # fmt: skip
    figure.update_xaxes(title="trial")
    return _finish(figure)


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
    return _finish(figure)


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
    return [Plot("importance", "Importance", note, _finish(figure))]


def _cost(table: pd.DataFrame) -> go.Figure:
    figure = _scatter(table, TIME)
    figure.update_xaxes(title="training time (s)")
    return _finish(figure)


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
        made.append(Plot(f"slice-{name}", name, f"Every trial's score by its {name}.", _finish(figure, 300)))
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
    _finish(figure, 420).update_layout(margin={"l": 60, "r": 10, "t": 50, "b": 20})
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
    return [Plot("timeline", "Timeline", note, _finish(figure, height), wide=True)]


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


def _seeds_name(table: pd.DataFrame, number: object) -> str:
    config = table.loc[table[TRIAL] == number, CONFIG].iloc[0]
    return f"trial {number}" + (f" ({config})" if config else "")


def _finish(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """Leaves size and theme to the page, and puts the legend where a narrow screen has room for it."""
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 36, "b": 10},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "title": {"text": ""}},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
