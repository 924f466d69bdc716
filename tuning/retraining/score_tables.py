"""Scores of several trainings, and of their ensembles, as tables of mean and spread over seeds."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.console import Console

from results.summary import screen_table
from results.tables.formatting import show_percent
from san_core.evaluation import Score

_MOST_TYPES = 12
"""Types of questions that are printed; the files have them all."""

ENSEMBLE_NOTE = (
    "An ensemble answers with the mean of its networks' probabilities, and takes the training of all of them: compare "
    "it with another ensemble, not with a single network."
)

DEVIATION_NOTE = "* sample standard deviation over the seeds, in points"

WORDS = {"", "metric", "answer type", "question type"}
"""Columns that hold words; the others hold numbers."""

_GROUP = ["configuration", "trial", "epochs", "networks", "metric", "kind", "group", "questions"]


def spread(tested: Sequence[tuple[str, int, int, int]], scores: Sequence[Sequence[Score]]) -> pd.DataFrame:
    """Mean and sample standard deviation over the seeds of each configuration, metric and group of questions.

    Args:
        tested: what was tested: its name, the trial, the epochs, and the number of networks that answered together: 1,
            or more for an ensemble, which has a name of its own.
        scores: scores of each.

    Returns:
        Columns configuration, trial, epochs, networks, metric, kind, group, questions, seeds, mean, std (missing for
        one seed) and values (one for each seed). An ensemble has one value, its mean; its seeds are those of its
        networks.
    """
    rows = [
        {"configuration": name, "trial": trial, "epochs": epochs, "networks": networks, **asdict(score)}
        for (name, trial, epochs, networks), of_one in zip(tested, scores, strict=True)
        for score in of_one
    ]
    table = (
        pd.DataFrame(rows)
        .groupby(_GROUP, sort=False)["mean"]
        .agg(seeds="count", mean="mean", std="std", values=list)
        .reset_index()
    )
    return table.assign(seeds=table["seeds"] * table["networks"])


def has_ensembles(table: pd.DataFrame) -> bool:
    """Whether a table of scores has those of ensembles, too."""
    return bool((table["networks"] > 1).any())


def as_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows for JSON: None in place of the missing spread of a single seed."""
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def print_scores(table: pd.DataFrame) -> None:
    """Prints the scores over all questions, and by the types of answers and questions if there are not too many."""
    console = Console(highlight=False)
    console.print(screen_table(overall(table), left=WORDS))
    console.print(DEVIATION_NOTE)
    if has_ensembles(table):
        console.print(ENSEMBLE_NOTE, soft_wrap=not console.is_terminal)
    for rows in by_type(table).values():
        if len(rows) <= _MOST_TYPES * rows["metric"].nunique():
            console.print()
            console.print(screen_table(rows, left=WORDS))


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """The scores over all questions as text: a row for each configuration, or ensemble, and metric."""
    rows = table[table["kind"] == "all"].to_dict("records")
    return pd.DataFrame(
        [
            {
                "": row["configuration"],
                "metric": row["metric"],
                **{column: f"{row[column]:,}" for column in ("trial", "epochs", "seeds")},
                "mean": show_percent(row["mean"]),
                "s.d.*": show_points(row["std"]),
                "lowest": _of_seeds(min, row),
                "highest": _of_seeds(max, row),
            }
            for row in rows
        ]
    )


def by_type(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The scores by kind of type as text: a row for each metric and type; columns as rows of `overall`."""
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


def _of_seeds(choose: Callable[[Sequence[float]], float], row: Mapping[Hashable, Any]) -> str:
    """The lowest or highest score of a seed; a dash for an ensemble, which has one score."""
    return "–" if row["networks"] > 1 else show_percent(choose(row["values"]))


def show_points(share: float) -> str:
    """A spread of scores, as a share, in points; a dash where it is missing."""
    return "–" if pd.isna(share) else f"{100 * share:.2f}"


def _mean_and_spread(row: Mapping[Hashable, Any]) -> str:
    spread_of = "" if pd.isna(row["std"]) else f" ± {show_points(row['std'])}"
    return show_percent(row["mean"]).replace(" %", f"{spread_of} %")
