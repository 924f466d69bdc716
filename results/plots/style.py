"""The style of all plots of a report: colours, symbols, axes and layout.

Every state has its own symbol besides its colour. Text, grid and background are left to the page, which follows the
reader's light or dark theme.
"""

import plotly.graph_objects as go

from results.plots.palette import BLUE, BRIGHT_BLUE, BROWN, GOLD, GREEN, GREY, ORANGE, PURPLE, SKY_BLUE, VERMILION
from results.snapshot import COMPLETE, DIVERGED, FAILED, PRUNED, RUNNING, STOPPED, WAITING
from results.tables.columns import BASELINE, BEST

RUN_COLORS = [BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY_BLUE]
"""Colours of several runs in one plot."""

STATE_COLORS = {
    COMPLETE: GREEN,
    PRUNED: ORANGE,
    DIVERGED: BROWN,
    FAILED: VERMILION,
    STOPPED: SKY_BLUE,
    RUNNING: SKY_BLUE,
    WAITING: GREY,
}
STATE_SYMBOLS = {
    COMPLETE: "circle",
    PRUNED: "triangle-down",
    DIVERGED: "hourglass",
    FAILED: "x",
    STOPPED: "triangle-right",
    RUNNING: "square",
    WAITING: "cross",
}
MARKERS = {BEST: ("star", 15, BLUE), BASELINE: ("diamond", 11, PURPLE)}
"""Symbol, size in pixels and colour of the best trial and the baseline."""

SCORE_SCALE = [[0, VERMILION], [0.5, GOLD], [1, BRIGHT_BLUE]]
"""Colours from low to high scores. All of them are visible on a light and on a dark page."""

PLOT_HEIGHT = 360
"""Height of a plot, in pixels, unless it has its own."""

MARGIN = {"l": 10, "r": 10, "t": 36, "b": 10}
"""Around a plot, in pixels; axes make room for their labels."""


def style_score_axis(figure: go.Figure, metric_title: str) -> None:
    """Makes the y axis one of scores: in %, with the metric as its title."""
    figure.update_yaxes(tickformat=".1~%", title=metric_title)


def style_layout(figure: go.Figure, height: int = PLOT_HEIGHT) -> go.Figure:
    """Sets height and margins, and puts the legend above the plot, where a narrow screen has room for it."""
    figure.update_layout(
        height=height,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "title": {"text": ""}},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
