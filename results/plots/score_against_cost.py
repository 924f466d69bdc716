"""Score against cost: the score of each trial by its training time."""

from results.plots.plot import Plot
from results.plots.points import points_table, scatter_plot, thinned, thinned_note
from results.plots.style import style_layout
from results.snapshot import RunSnapshot
from results.tables.columns import SECONDS


def score_against_cost_plot(snapshot: RunSnapshot, *, wide: bool) -> Plot:
    """The score of each trial over its training time."""
    title = snapshot.metric_title
    figure = scatter_plot(thinned(points := points_table(snapshot)), SECONDS, title)
    figure.update_xaxes(title="training time (s)")
    share = " A trial's time is its share of its cohorts' time." if snapshot.jobs else ""
    note = f"Up and to the left is better: more for less training time.{share}{thinned_note(len(points))}"
    return Plot("cost", f"{title[0].upper()}{title[1:]} against cost", note, style_layout(figure), wide=wide)
