"""Parallel coordinates: a line for each trial, across an axis for the score and one for each hyperparameter."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from results.plots.plot import Plot
from results.plots.points import points_table, thinned, thinned_note
from results.plots.style import SCORE_SCALE, style_layout
from results.snapshot import RunSnapshot
from results.tables.columns import SCORE, TRIAL
from results.tables.formatting import show_value

PARALLEL_HEIGHT = 420
"""Height of the plot, in pixels."""

TICKS = 5
"""Ticks of a logarithmic axis."""


def parallel_axes(snapshot: RunSnapshot) -> list[dict[str, Any]]:
    """Plotly's dimensions: label, values, range and ticks of each axis; the score comes first.

    `values` has an item for each trial that has a score. The axis of a logarithmic hyperparameter holds logarithms and
    that of a categorical one the choices' indices; the ticks name the values. A hyperparameter that only some trials
    have is left out, because their lines would have gaps.
    """
    points = thinned(points_table(snapshot))
    params = {trial.number: trial.params for trial in snapshot.search}
    rows = [params[number] for number in points[TRIAL]]
    score = {"label": snapshot.metric_title, "values": points[SCORE].tolist(), "tickformat": ".0%"}
    return [
        score,
        *(
            _axis(name, distribution, [row[name] for row in rows])
            for name, distribution in snapshot.distributions.items()
            if all(name in row for row in rows)
        ),
    ]


def parallel_coordinates_plot(snapshot: RunSnapshot) -> Plot | None:
    """A line for each trial, coloured by score; None if no hyperparameter is common to all trials."""
    score, *axes = parallel_axes(snapshot)
    if not axes:
        return None
    colors = {
        "color": score["values"],
        "colorscale": SCORE_SCALE,
        "showscale": True,
        "colorbar": {"tickformat": ".0%", "thickness": 12},
    }
    figure = style_layout(go.Figure(go.Parcoords(line=colors, dimensions=[score, *axes])), PARALLEL_HEIGHT)
    figure.update_layout(margin={"l": 60, "r": 10, "t": 50, "b": 20})
    note = "A line for each trial. Drag along an axis to keep the trials in that range; click the axis to let go."
    note += thinned_note(len(points_table(snapshot)))
    return Plot("parallel", "Parallel coordinates", note, figure, wide=True)


def _axis(name: str, distribution: BaseDistribution, values: Sequence[Any]) -> dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        last = len(distribution.choices) - 1
        return {
            "label": name,
            "values": [distribution.choices.index(value) for value in values],
            "tickvals": list(range(last + 1)),
            "ticktext": [str(choice) for choice in distribution.choices],
            "range": [0, max(1, last)],
        }
    if isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log:
        low, high = math.log10(distribution.low), math.log10(distribution.high)
        ticks = np.linspace(low, high, TICKS).tolist()
        return {
            "label": name,
            "values": [math.log10(value) for value in values],
            "tickvals": ticks,
            "ticktext": [show_value(name, _in_range(distribution, 10**tick)) for tick in ticks],
            "range": [low, high],
        }
    return {"label": name, "values": values}


def _in_range(distribution: BaseDistribution, value: float) -> float | int:
    """The value, rounded for a hyperparameter of whole numbers."""
    return round(value) if isinstance(distribution, IntDistribution) else value
