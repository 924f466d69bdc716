"""The importance of each hyperparameter, as bars."""

from collections.abc import Mapping

import plotly.express as px

from results.plots.palette import BLUE
from results.plots.plot import Plot
from results.plots.style import style_layout


def importance_plot(shares: Mapping[str, float]) -> Plot:
    """A bar for each hyperparameter.

    Args:
        shares: result of `results.tables.importance`, the largest share first.
    """
    names, values = list(shares), list(shares.values())
    figure = px.bar(
        x=values,
        y=names,
        orientation="h",
        text=[f"{100 * value:.0f} %" for value in values],
        color_discrete_sequence=[BLUE],
        template="none",
    )
    figure.update_traces(hovertemplate="%{y}: %{x:.1%}<extra></extra>", cliponaxis=False)
    figure.update_xaxes(tickformat=".0%", title="share of importance", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", title="")
    note = "PED-ANOVA: what sets the best trials apart from the rest. With few trials, a hint."
    return Plot("importance", "Importance", note, style_layout(figure))
