"""Draws what fresh seeds say of a search, and the progress of several searches side by side."""

import math
from collections.abc import Mapping

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from results.plots import plot_data as plots
from results.plots.plot_data import SO_FAR
from results.plots.plot_style import COLORS, MARKS, Plot, finish
from results.snapshot import PRUNED, Record
from results.tables.intervals import Sample, score_bounds
from results.tables.trials import BEST, CONFIG, SCORE, TRIAL


def seeds_plot(record: Record) -> go.Figure:
    """Each repeated trial's scores under fresh seeds, their mean and its 95 % interval."""
    table = plots.seeds(record)
    groups = {number: group[SCORE].tolist() for number, group in table.groupby(TRIAL, sort=False)}
    names = [_seeds_name(table, number) for number in groups]
    samples = [Sample.of(scores) for scores in groups.values()]
    bounds = [(s.mean, s.mean) if math.isnan(s.deviation) else score_bounds(s) for s in samples]
    figure = go.Figure(
        [
            go.Scatter(
                x=[sample.mean for sample in samples],
                y=names,
                error_x={
                    "array": [high - sample.mean for sample, (_, high) in zip(samples, bounds, strict=True)],
                    "arrayminus": [sample.mean - low for sample, (low, _) in zip(samples, bounds, strict=True)],
                },
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
    return finish(figure, 130 + 42 * len(names))


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
            Plot(key, f"Best so far by {'trials' if key == 'trials' else 'training time'}", note, finish(figure))
        )
    return made


def _seeds_name(table: pd.DataFrame, number: object) -> str:
    config = table.loc[table[TRIAL] == number, CONFIG].iloc[0]
    return f"trial {number}" + (f" ({config})" if config else "")
