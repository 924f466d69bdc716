"""Fresh seeds: the scores of each repeated configuration, their mean and its interval."""

import math

import pandas as pd
import plotly.graph_objects as go

from results.intervals import Sample, score_bounds
from results.plots.palette import BLUE, ORANGE
from results.plots.plot import Plot
from results.plots.points import NO_CONFIG
from results.plots.style import style_layout
from results.snapshot import RunSnapshot
from results.tables.columns import CONFIG, SCORE, TRIAL
from results.tables.fresh_seeds import seed_scores
from results.tables.trials import config_names


def fresh_seeds_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """Every score under a fresh seed: trial, config, score; the best mean first, of equal means the lower number."""
    names = config_names(snapshot)
    by_mean = sorted(seed_scores(snapshot).items(), key=lambda item: (-sum(item[1]) / len(item[1]), item[0]))
    rows = [(number, names.get(number, NO_CONFIG), score) for number, scores in by_mean for score in scores]
    return pd.DataFrame(rows, columns=[TRIAL, CONFIG, SCORE])


def fresh_seeds_plot(snapshot: RunSnapshot) -> Plot | None:
    """A row for each repeated trial: every score, and the mean with its 95 % interval; None without fresh seeds."""
    table = fresh_seeds_table(snapshot)
    if table.empty:
        return None
    groups = {number: group[SCORE].tolist() for number, group in table.groupby(TRIAL, sort=False)}
    names = [_row_name(table, number) for number in groups]
    figure = go.Figure(
        [
            _means(names, [Sample.of(scores) for scores in groups.values()]),
            go.Scatter(
                x=table[SCORE],
                y=[name for name, scores in zip(names, groups.values(), strict=True) for _ in scores],
                mode="markers",
                marker={"size": 9, "color": ORANGE, "symbol": "circle-open", "line": {"width": 2}},
                name="one seed",
                hovertemplate="%{y}: %{x:.2%}<extra></extra>",
            ),
        ]
    )
    figure.update_xaxes(tickformat=".1%", title=snapshot.metric_title)
    figure.update_yaxes(autorange="reversed", type="category")
    return Plot("seeds", "Fresh seeds", "", style_layout(figure, 130 + 42 * len(names)), wide=True)


def _means(names: list[str], samples: list[Sample]) -> go.Scatter:
    """The mean of each sample with its interval, which has no width for a sample of one score."""
    bounds = [(s.mean, s.mean) if math.isnan(s.deviation) else score_bounds(s) for s in samples]
    return go.Scatter(
        x=[sample.mean for sample in samples],
        y=names,
        error_x={
            "array": [high - sample.mean for sample, (_, high) in zip(samples, bounds, strict=True)],
            "arrayminus": [sample.mean - low for sample, (low, _) in zip(samples, bounds, strict=True)],
        },
        mode="markers",
        marker={"size": 11, "color": BLUE, "symbol": "diamond"},
        name="mean, 95 % interval",
        hovertemplate="%{y}: %{x:.2%}<extra></extra>",
    )


def _row_name(table: pd.DataFrame, number: object) -> str:
    config = table.loc[table[TRIAL] == number, CONFIG].iloc[0]
    return f"trial {number}" + (f" ({config})" if config else "")
