"""The plots of a whole search; slices, timeline and fresh seeds have sections of their own in the report."""

from collections.abc import Mapping

from results.plots.importance import importance_plot
from results.plots.learning_curves import learning_curves_plot
from results.plots.optimization_history import optimization_history_plot
from results.plots.parallel_coordinates import parallel_coordinates_plot
from results.plots.plot import Plot
from results.plots.points import points_table
from results.plots.score_against_cost import score_against_cost_plot
from results.snapshot import RunSnapshot


def search_plots(snapshot: RunSnapshot, shares: Mapping[str, float]) -> list[Plot]:
    """The plots of a search that have something to show; none before a trial has a score.

    Args:
        snapshot: snapshot of the search.
        shares: importance of each hyperparameter; empty where it is not known.
    """
    if points_table(snapshot).empty:
        return []
    plots = [
        optimization_history_plot(snapshot),
        learning_curves_plot(snapshot),
        importance_plot(shares) if shares else None,
        score_against_cost_plot(snapshot, wide=not shares),  # without importance it is alone in its row
        parallel_coordinates_plot(snapshot),
    ]
    return [plot for plot in plots if plot]
