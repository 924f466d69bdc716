"""What all plots of a report look like.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; every state has its own symbol too. Text,
grid and background follow the reader's light or dark theme, which the page sees to.
"""

from dataclasses import dataclass

import plotly.graph_objects as go

from results.plots.plot_data import FRESH
from results.snapshot import COMPLETE, DIVERGED, FAILED, PRUNED, RUNNING, WAITING
from results.tables.trials import BASELINE, BEST

COLORS = {
    COMPLETE: "#009E73",
    PRUNED: "#E69F00",
    DIVERGED: "#8B5A2B",
    FAILED: "#D55E00",
    RUNNING: "#56B4E9",
    WAITING: "#999999",
    FRESH: "#CC79A7",
}
SYMBOLS = {
    COMPLETE: "circle",
    PRUNED: "triangle-down",
    DIVERGED: "hourglass",
    FAILED: "x",
    RUNNING: "square",
    WAITING: "cross",
}
MARKS = {BEST: ("star", 15, "#0072B2"), BASELINE: ("diamond", 11, "#CC79A7")}
"""Symbol, size in pixels and colour of the trials that stand out."""

SCALE = [[0, "#D55E00"], [0.5, "#C9A227"], [1, "#1E88C9"]]
"""From low to high scores; no end of it is as dark or as light as a page."""

HEIGHT = 360
"""Of a plot, in pixels."""


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


def finish(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
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
