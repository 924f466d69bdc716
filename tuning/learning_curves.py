"""The loss of every epoch of a retraining: as a table, and as a picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tuning.retraining import Outcome

# Okabe and Ito's blue and vermilion, which colour-blind people can tell apart; the line's style tells them apart too.
_LINES = [("#0072B2", "-"), ("#D55E00", (0, (5, 1.5)))]
_INK, _FAINT, _GRID = "#222222", "#6b6b6b", "#e4e4e8"


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
    """Writes a picture of the curves: a thin line for each seed, a thick one for their mean."""
    with style.context("default"), warnings.catch_warnings():  # not what somebody's matplotlibrc says
        warnings.filterwarnings("ignore", "Glyph .* missing")
        curve_figure(table).savefig(path, dpi=160)


def curve_figure(table: pd.DataFrame) -> Figure:
    """The figure of a table of curves, with a line's name at its end instead of a legend."""
    figure = Figure(figsize=(7.2, 3.8), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    ends = {}
    for (name, rows), (colour, dashes) in zip(table.groupby("configuration", sort=False), _LINES, strict=False):
        curves = rows.pivot(index="epoch", columns="seed", values="loss")
        mean = curves.mean(axis="columns")
        if curves.shape[1] > 1:
            axes.plot(curves.index, curves, color=colour, linewidth=0.8, alpha=0.4)
        axes.plot(mean.index, mean, color=colour, linewidth=2.2, linestyle=dashes, label=str(name))
        axes.plot(mean.index[-1:], mean.iloc[-1:], color=colour, marker="o", markersize=5)
        ends[str(name)] = (mean.index[-1], mean.iloc[-1], colour)
    _name_lines(axes, ends)
    _frame(axes, int(table["epoch"].max()), table["seed"].nunique())
    return figure


def _name_lines(axes: Axes, ends: dict[str, tuple[float, float, str]]) -> None:
    """Names each line beside its end; the higher one's name goes above, the lower one's below."""
    ordered = sorted(ends.items(), key=lambda item: -item[1][1])
    for place, (name, (epoch, loss, colour)) in enumerate(ordered):
        above = place == 0 and len(ordered) > 1
        axes.annotate(
            f"{name} {loss:.3g}",
            (epoch, loss),
            xytext=(8, 3 if above else -3),
            textcoords="offset points",
            va="bottom" if above else "top" if len(ordered) > 1 else "center",
            color=colour,
            size=10,
            weight="bold",
            parse_math=False,
        )


def _frame(axes: Axes, epochs: int, seeds: int) -> None:
    thin = f"; thin lines are the {seeds} seeds, thick ones their means" if seeds > 1 else ""
    axes.set_title(f"Training loss by epoch{thin}", size=10, color=_FAINT, loc="left", pad=10)
    axes.set_xlabel("epoch", color=_FAINT)
    axes.set_ylabel("mean cross entropy (nats)", color=_FAINT)
    axes.set_xlim(1 - 0.02 * epochs, epochs + 0.2 * max(epochs, 2))  # room for the names
    axes.set_ylim(bottom=0)
    axes.margins(y=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.set_xticks([tick for tick in axes.get_xticks() if 1 <= tick <= epochs])
    axes.grid(axis="y", color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, labelcolor=_INK)
