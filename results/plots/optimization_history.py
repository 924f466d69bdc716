"""The optimisation history: each trial's score by its number, and the best score so far."""

import pandas as pd

from results.plots.palette import BLUE
from results.plots.plot import Plot
from results.plots.points import points_table, scatter_plot, thinned, thinned_note
from results.plots.style import style_layout
from results.snapshot import COMPLETE, RunSnapshot
from results.tables.columns import SCORE, STATE, TRIAL

BEST_SO_FAR = "best so far"
"""Column: the best score of the complete trials up to this one; missing before the first."""


def optimization_history_table(points: pd.DataFrame) -> pd.DataFrame:
    """The points of `points_table`, which are in the order of trial numbers, with the best score so far."""
    return points.assign(**{BEST_SO_FAR: points[SCORE].where(points[STATE] == COMPLETE).cummax().ffill()})


def optimization_history_plot(snapshot: RunSnapshot) -> Plot:
    """The score of each trial over its number, and a line for the best so far."""
    every = optimization_history_table(points_table(snapshot))
    table = thinned(every)
    figure = scatter_plot(table, TRIAL, snapshot.metric_title)
    figure.add_scatter(
        x=table[TRIAL],
        y=table[BEST_SO_FAR],
        mode="lines",
        line={"shape": "hv", "color": BLUE},
        name=BEST_SO_FAR,
        hoverinfo="skip",
    )
    figure.update_xaxes(title="trial")
    note = "Each trial's best epoch; the line is the best so far." + thinned_note(len(every))
    return Plot("history", "Optimisation history", note, style_layout(figure))
