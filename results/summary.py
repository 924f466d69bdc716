"""A summary of what a search found: printed for a person, or as JSON for a program."""

from collections.abc import Container, Mapping
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from results.report.choice import choice
from results.report.facts import count_lines
from results.report.findings import wider_ranges
from results.report.verdict import verdict
from results.snapshot import RunSnapshot
from results.tables.columns import BEST_EPOCH, CONFIG, DIFFERENCE, EPOCHS, RACE, RANK, SCORE, SECONDS, STATE, TRIAL
from results.tables.formatting import show_comparison, show_seeds, show_trials
from results.tables.fresh_seeds import seed_table
from results.tables.trials import comparison, parameter_columns, trial_table

PRINTED_TRIALS = 10
"""Trials that are printed, the best; the files have all of them."""

HEADERS = {RANK: "#", DIFFERENCE: "vs.\nbaseline", SECONDS: "time"}
"""Headings on the screen that differ from the column's name; the score's is the metric's title."""

PARAMETERS = "parameters"
"""Heading of the one column with all parameters, if the screen has no room for a column each."""

UNLIMITED = 10_000
"""A width in characters that is larger than any table."""


def as_json(snapshot: RunSnapshot) -> dict[str, Any]:
    """The result for a program, of types that JSON has; None for a missing value."""
    return {
        "run": str(snapshot.folder.path),
        "metric": snapshot.metric,
        "verdict": verdict(snapshot),
        "comparison": _rows(comparison(snapshot)),
        "fresh_seeds": _rows(seed_table(snapshot)),
        "trials": _rows(trial_table(snapshot)),
    }


def print_summary(snapshot: RunSnapshot, console: Console | None = None) -> None:
    """Prints comparison, best trials, verdict and counts, as wide as the screen (80 columns where there is none)."""
    console = console or Console(highlight=False, markup=False)
    trials = trial_table(snapshot)
    compared = show_comparison(comparison(snapshot), snapshot.metric_title)
    if not compared.empty:
        console.print(screen_table(compared.reset_index(names=""), {""}))
        console.print()
    if not trials.empty:
        console.print(f"Best {min(PRINTED_TRIALS, len(trials))} of {len(trials)} trials, differences in points:\n")
        shown = show_trials(trials).head(PRINTED_TRIALS)
        console.print(fit_screen(shown, parameter_columns(trials), console, snapshot.metric_title))
        console.print()
    _print_verdict(snapshot, console)
    console.print()
    for line in filter(None, (*count_lines(snapshot), wider_ranges(snapshot))):
        console.print(line, soft_wrap=not console.is_terminal)


def print_seeds(snapshot: RunSnapshot, console: Console | None = None) -> None:
    """Prints the scores of each configuration under fresh seeds, and the verdict."""
    console = console or Console(highlight=False, markup=False)
    console.print(screen_table(show_seeds(seed_table(snapshot), snapshot.metric_title), {CONFIG, RACE}))
    console.print()
    _print_verdict(snapshot, console)


def _print_verdict(snapshot: RunSnapshot, console: Console) -> None:
    for sentence in (verdict(snapshot), *choice(snapshot)):
        console.print(sentence, soft_wrap=not console.is_terminal)


def print_overview(table: pd.DataFrame, console: Console | None = None) -> None:
    """Prints the overview of several runs, a column each, which fits a narrow screen."""
    console = console or Console(highlight=False, markup=False)
    turned = table.set_index("run").T.reset_index(names="")
    console.print(screen_table(turned, {""}, {name: name for name in turned.columns}))


def fit_screen(shown: pd.DataFrame, parameters: list[str], console: Console, metric_title: str) -> Table:
    """The trials in as many columns as fit the screen; if even the fewest do not, all parameters share one column."""
    few = shown[[RANK, TRIAL, *parameters, SCORE, DIFFERENCE, STATE]]
    many = shown[[RANK, TRIAL, *parameters, SCORE, DIFFERENCE, BEST_EPOCH, EPOCHS, SECONDS, STATE]]
    unlimited = console.options.update(max_width=UNLIMITED)
    headings = HEADERS | {SCORE: metric_title.replace(" ", "\n")}
    for table in (screen_table(many, {STATE}, headings), screen_table(few, {STATE}, headings)):
        if Measurement.get(console, unlimited, table).maximum <= console.width:
            return table
    together = few.drop(columns=parameters)
    rows = shown[parameters].to_dict("records")
    together[PARAMETERS] = [" ".join(f"{name}={value}" for name, value in row.items() if value) for row in rows]
    return screen_table(together, {STATE, PARAMETERS}, headings)


def screen_table(table: pd.DataFrame, left: Container[str], headings: Mapping[str, str] | None = None) -> Table:
    """A table for the screen.

    Args:
        table: a table of texts.
        left: columns that are aligned left; the others are aligned right, as numbers are.
        headings: headings of columns, by name; other columns have their name as heading, a line for each word.
    """
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in table.columns:
        heading = (headings or {}).get(name, name.replace("_", "\n"))
        grid.add_column(heading, justify="left" if name in left else "right", overflow="fold")
    for row in table.itertuples(index=False):
        grid.add_row(*row)
    return grid


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    values = table.astype(object)
    rows = values.where(values.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
