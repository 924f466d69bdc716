"""Scores of several trainings, as tables of mean and spread over seeds."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.console import Console

from results.summary import screen_table
from results.tables.formatting import show_percent
from san_core.evaluation import Score

_MOST_TYPES = 12
"""Types of questions that are printed; the files have them all."""

DEVIATION_NOTE = "* sample standard deviation over the seeds, in points"

WORDS = {"", "metric", "answer type", "question type"}
"""Columns that hold words; the others hold numbers."""

_GROUP = ["configuration", "trial", "epochs", "metric", "kind", "group", "questions"]


def spread(trainings: Sequence[tuple[str, int, int]], scores: Sequence[Sequence[Score]]) -> pd.DataFrame:
    """Mean and sample standard deviation over the seeds of each configuration, metric and group of questions.

    Args:
        trainings: configuration, trial and epochs of each training.
        scores: scores of each training.

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
    """The rows for JSON: None in place of the missing spread of a single seed."""
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def print_scores(table: pd.DataFrame) -> None:
    """Prints the scores over all questions, and by the types of answers and questions if there are not too many."""
    console = Console(highlight=False)
    console.print(screen_table(overall(table), left=WORDS))
    console.print(DEVIATION_NOTE)
    for rows in by_type(table).values():
        if len(rows) <= _MOST_TYPES * rows["metric"].nunique():
            console.print()
            console.print(screen_table(rows, left=WORDS))


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """The scores over all questions as text: a row for each configuration and metric."""
    rows = table[table["kind"] == "all"].to_dict("records")
    return pd.DataFrame(
        [
            {
                "": row["configuration"],
                "metric": row["metric"],
                **{column: f"{row[column]:,}" for column in ("trial", "epochs", "seeds")},
                "mean": show_percent(row["mean"]),
                "s.d.*": show_points(row["std"]),
                "lowest": show_percent(min(row["values"])),
                "highest": show_percent(max(row["values"])),
            }
            for row in rows
        ]
    )


def by_type(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The scores by kind of type as text: a row for each metric and type, a column for each configuration."""
    shown = table.assign(score=[_mean_and_spread(row) for row in table.to_dict("records")])
    return {
        str(kind): rows.pivot(index=["metric", "group", "questions"], columns="configuration", values="score")
        .reindex(rows.set_index(["metric", "group", "questions"]).index.unique())
        .reindex(columns=rows["configuration"].unique())
        .rename_axis(columns=None)
        .reset_index()
        .assign(questions=lambda found: [f"{count:,}" for count in found["questions"]])
        .rename(columns={"group": kind})
        for kind, rows in shown[shown["kind"] != "all"].groupby("kind", sort=False)
    }


def show_points(share: float) -> str:
    """A spread of scores, as a share, in points; a dash where it is missing."""
    return "–" if pd.isna(share) else f"{100 * share:.2f}"


def _mean_and_spread(row: Mapping[Hashable, Any]) -> str:
    spread_of = "" if pd.isna(row["std"]) else f" ± {show_points(row['std'])}"
    return show_percent(row["mean"]).replace(" %", f"{spread_of} %")
