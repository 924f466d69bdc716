"""Draws what simulated searches found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

TITLES = {"easy-vqa": "easy-VQA", "vqa": "VQA v1"}
PARTS = {
    "partly_filled": "cohorts not full",
    "turn": "waiting for earlier jobs",
    "driver": "waiting for the driver",
    "end": "waiting for the end",
}
"""Shares of device time that are wasted, and what the plot calls them."""

Rows = Sequence[Mapping[str, Any]]


def save_plot(by_gpus: Rows, by_trials: Rows, path: Path) -> None:
    """Draws speed-up and wasted time against GPUs, and the driver's cost against trials, side by side.

    Args:
        by_gpus: rows of searches on different numbers of GPUs; of several widths the largest is drawn.
        by_trials: rows of the driver's cost.
        path: of the picture.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    speed, waste, cost = figure.subplots(1, 3)
    widest = max((row["width"] for row in by_gpus), default=0)
    drawn = [row for row in by_gpus if row["width"] == widest]
    _draw_speed(speed, drawn)
    _draw_waste(waste, [row for row in drawn if row["network"] == drawn[-1]["network"]])
    _draw_cost(cost, by_trials)
    figure.savefig(path, dpi=100)


def _draw_speed(axes: Axes, rows: Rows) -> None:
    gpus = sorted({row["gpus"] for row in rows})
    axes.plot(gpus, gpus, color="grey", linestyle=":", label="linear")
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        axes.plot([row["gpus"] for row in own], [row["speedup"] for row in own], marker="o", label=TITLES[network])
    axes.set(xscale="log", yscale="log", xlabel="GPUs", ylabel="times as fast as 1 GPU")
    axes.set_xticks(gpus, [str(number) for number in gpus])
    axes.set_yticks(gpus, [str(number) for number in gpus])
    axes.minorticks_off()
    axes.legend()


def _draw_waste(axes: Axes, rows: Rows) -> None:
    labels, below = [str(row["gpus"]) for row in rows], [0.0] * len(rows)
    for part, title in PARTS.items():
        shares = [100 * row[part] for row in rows]
        axes.bar(labels, shares, bottom=below, label=title)
        below = [low + share for low, share in zip(below, shares, strict=True)]
    network = TITLES[rows[0]["network"]] if rows else ""
    axes.set(xlabel="GPUs", ylabel=f"% of device time wasted, {network}")
    axes.legend()


def _draw_cost(axes: Axes, rows: Rows) -> None:
    for sampler, storage in dict.fromkeys((row["sampler"], row["storage"]) for row in rows):
        own = [row for row in rows if (row["sampler"], row["storage"]) == (sampler, storage)]
        label = f"{sampler}, {storage}"
        axes.plot([row["trials"] for row in own], [row["ms"] for row in own], marker="o", label=label)
    axes.set(xscale="log", xlabel="trials so far", ylabel="driver, ms of CPU time per trial", ylim=(0, None))
    axes.legend()
