"""A plot of a report: a plotly figure with its title and a sentence on how to read it."""

from dataclasses import dataclass

import plotly.graph_objects as go


@dataclass(frozen=True)
class Plot:
    """A plot of a report.

    Attributes:
        key: identifier of the plot in the page.
        title: title of the plot.
        note: a sentence that says how to read the plot.
        figure: plotly's figure; text and grid take the colours of the page.
        wide: whether the plot takes the whole width of the page.
    """

    key: str
    title: str
    note: str
    figure: go.Figure
    wide: bool = False
