"""Learning curves of a retraining, the loss after each epoch: as a table and as a picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from results.plots.palette import BLUE, VERMILION
from tuning.retraining.training import Outcome

# Blue and vermilion of Okabe and Ito's palette for colour-blind readers; the lines differ in their dashes too.
_BASELINE = (VERMILION, (0, (5, 1.5)))
_OTHER = (BLUE, "-")
_TEXT, _MUTED, _GRID = "#222222", "#6b6b6b", "#e4e4e8"


def curve_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row for each epoch of each training.

    Returns:
        configuration, trial, seed, epoch, loss (mean cross entropy of the epoch's training questions, in nats),
        seconds.
    """
    return pd.DataFrame(
        [
            {
                "configuration": outcome.job.name,
                "trial": outcome.job.trial,
                "seed": outcome.job.config.seed,
                "epoch": epoch.epoch,
                "loss": epoch.loss,
                "seconds": epoch.seconds,
            }
            for outcome in outcomes
            for epoch in outcome.curve
        ]
    )


def draw_curves(table: pd.DataFrame, path: Path) -> None:
    """Writes the figure of a table of curves to an image file."""
    with style.context("default"), warnings.catch_warnings():  # whatever the user's matplotlibrc says
        warnings.filterwarnings("ignore", "Glyph .* missing")
        curve_figure(table).savefig(path, dpi=160)


def curve_figure(table: pd.DataFrame) -> Figure:
    """A thin line for each seed and a thick one for the mean of each configuration, with its name at the end."""
    figure = Figure(figsize=(7.2, 3.8), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    ends: dict[str, tuple[float, float, str]] = {}
    top = 1.1 * table["loss"].max()
    for name, rows in table.groupby("configuration", sort=False):
        colour, dashes = _BASELINE if name == "baseline" else _OTHER
        curves = rows.pivot(index="epoch", columns="seed", values="loss")
        mean = curves.mean(axis="columns")
        if curves.shape[1] > 1:
            axes.plot(curves.index, curves, color=colour, linewidth=0.8, alpha=0.4)
        axes.plot(mean.index, mean, color=colour, linewidth=2.2, linestyle=dashes, label=str(name))
        axes.plot(mean.index[-1:], mean.iloc[-1:], color=colour, marker="o", markersize=5, clip_on=False)
        ends[str(name)] = (mean.index[-1], mean.iloc[-1], colour)
    _label_lines(axes, ends, min_gap=0.07 * top)
    _style_axes(axes, int(table["epoch"].max()), table["seed"].nunique())
    axes.set_ylim(0, top)
    return figure


def _label_lines(axes: Axes, ends: dict[str, tuple[float, float, str]], min_gap: float) -> None:
    """Writes the name of each line beside its end, and moves the upper one up where two ends are close."""
    lowest = min(loss for _, loss, _ in ends.values())
    for name, (epoch, loss, colour) in ends.items():
        moved_up = lowest < loss < lowest + min_gap
        axes.annotate(
            f"{name} {loss:.3g}",
            (epoch, loss),
            xytext=(8, 10 if moved_up else -4),
            textcoords="offset points",
            va="bottom",
            color=colour,
            size=10,
            weight="bold",
            parse_math=False,
        )


def _style_axes(axes: Axes, epochs: int, seeds: int) -> None:
    thin = f"; thin lines are the {seeds} seeds, thick ones their means" if seeds > 1 else ""
    axes.set_title(f"Training loss by epoch{thin}", size=10, color=_MUTED, loc="left", pad=10)
    axes.set_xlabel("epoch", color=_MUTED)
    axes.set_ylabel("mean cross entropy (nats)", color=_MUTED)
    axes.set_xlim(1 - 0.02 * epochs, epochs + 0.25 * max(epochs, 2))  # room for the names
    axes.set_xticks([1, *(tick for tick in MaxNLocator(10, integer=True).tick_values(1, epochs) if 1 < tick <= epochs)])
    axes.grid(axis="y", color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, labelcolor=_TEXT)
