"""Slice plots: the score of each trial by the value of one hyperparameter, a plot for each hyperparameter."""

import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from results.plots.plot import Plot
from results.plots.points import points_table, scatter_plot, thinned, thinned_note
from results.plots.style import style_layout
from results.snapshot import RunSnapshot
from results.tables.trials import parameter_column

SLICE_HEIGHT = 300
"""Height of a slice plot, in pixels."""

SHORT_RANGE = 20
"""A logarithmic range whose bounds have a smaller ratio than this gets a tick at every digit."""


def slice_plots(snapshot: RunSnapshot) -> list[Plot]:
    """A plot for each hyperparameter that a trial with a score has."""
    every = points_table(snapshot)
    points, plots = thinned(every), []
    for name, distribution in snapshot.distributions.items():
        column = parameter_column(name)
        rows = points[points[column].notna()]
        if rows.empty:
            continue
        if isinstance(distribution, CategoricalDistribution):
            rows = rows.assign(**{column: rows[column].astype(str)})
        figure = scatter_plot(rows, column, snapshot.metric_title)
        _scale_axis(figure, distribution)
        figure.update_xaxes(title=name)
        note = f"Every trial's score by its {name}.{thinned_note(len(every))}"
        plots.append(Plot(f"slice-{name}", name, note, style_layout(figure, SLICE_HEIGHT)))
    return plots


def _scale_axis(figure: go.Figure, distribution: BaseDistribution) -> None:
    """Makes the x axis categorical or logarithmic, if the distribution is."""
    if isinstance(distribution, CategoricalDistribution):
        figure.update_xaxes(type="category")
    elif isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log:
        short = distribution.high / distribution.low < SHORT_RANGE
        figure.update_xaxes(type="log", dtick="D1" if short else 1, exponentformat="power")
