"""Scores of several trainings, as tables of mean and spread over seeds."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from san_core.evaluation import Score

_MOST_TYPES = 12
"""Types of questions that are printed; the files have them all."""

_GROUP = ["configuration", "trial", "epochs", "metric", "kind", "group", "questions"]


def spread(trainings: Sequence[tuple[str, int, int]], scores: Sequence[Sequence[Score]]) -> pd.DataFrame:
    """Mean and sample standard deviation over the seeds of each configuration, metric and group of questions.

    Args:
        trainings: configuration, trial and epochs of each training.
        scores: of each training.

    Returns:
        Columns configuration, trial, epochs, metric, kind, group, questions, seeds, mean, std (missing for one
        seed) and values (one for each seed).
    """
    rows = [
        {"configuration": name, "trial": trial, "epochs": epochs, **asdict(score)}
        for (name, trial, epochs), of_training in zip(trainings, scores, strict=True)
        for score in of_training
    ]
    return (
        pd.DataFrame(rows)
        .groupby(_GROUP, sort=False)["mean"]
        .agg(seeds="count", mean="mean", std="std", values=list)
        .reset_index()
    )


def as_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, fit for JSON: None where a single seed has no spread."""
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def print_scores(table: pd.DataFrame) -> None:
    """Prints the scores over all questions, and by the types of answers and questions if there are not too many."""
    console = Console(highlight=False)
    overall = table[table["kind"] == "all"]
    console.print(_overall(overall))
    console.print("* sample standard deviation over the seeds, in points")
    for kind, rows in table[table["kind"] != "all"].groupby("kind", sort=False):
        if rows["group"].nunique() <= _MOST_TYPES:
            console.print()
            console.print(_by_type(rows, str(kind)))


def _overall(rows: pd.DataFrame) -> Table:
    shown = _grid(["", "metric"], ["trial", "epochs", "seeds", "mean", "s.d.*", "lowest", "highest"])
    for row in rows.to_dict("records"):
        shown.add_row(
            row["configuration"],
            row["metric"],
            *(f"{row[column]:,}" for column in ("trial", "epochs", "seeds")),
            f"{row['mean']:.2%}",
            "–" if pd.isna(row["std"]) else f"{100 * row['std']:.2f}",
            f"{min(row['values']):.2%}",
            f"{max(row['values']):.2%}",
        )
    return shown


def _by_type(rows: pd.DataFrame, kind: str) -> Table:
    """A row for each metric and type, a column for each configuration."""
    means = rows.pivot_table(index=["metric", "group", "questions"], columns="configuration", values="mean", sort=False)
    shown = _grid(["metric", kind], ["questions", *map(str, means.columns)])
    for row in means.reset_index().itertuples(index=False):
        metric, group, questions, *values = row
        shown.add_row(metric, group, f"{questions:,}", *(f"{value:.2%}" for value in values))
    return shown


def _grid(left: Sequence[str], right: Sequence[str]) -> Table:
    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in left:
        shown.add_column(heading)
    for heading in right:
        shown.add_column(heading, justify="right")
    return shown
