"""What a search found, in short: on the screen for a person, as JSON for a program."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from results.report.facts import count_lines
from results.report.verdict import verdict
from results.snapshot import Source, read
from results.tables.formatting import show_comparison, show_seeds, show_trials
from results.tables.fresh_seeds import seed_table
from results.tables.trials import (
    BEST_EPOCH,
    CONFIG,
    DIFFERENCE,
    EPOCHS,
    RANK,
    SCORE,
    STATE,
    TIME,
    TRIAL,
    comparison,
    parameter_columns,
    trial_table,
)

TOP = 10
"""Trials that are printed; the files have them all."""

HEADERS = {RANK: "#", DIFFERENCE: "vs.\nbaseline", TIME: "time"}
"""Columns whose heading on the screen is not their name; the score's is the metric's title."""

PARAMETERS = "parameters"
"""The one column of all parameters, where the screen has no room for a column each."""

UNLIMITED = 10_000
"""A width, in characters, that no table needs."""


def as_json(run: Source) -> dict[str, Any]:
    """The result for a program: all of it can be written as JSON, None where a value is missing."""
    record = read(run)
    return {
        "run": str(record.folder.path),
        "metric": record.metric,
        "verdict": verdict(record),
        "comparison": _rows(comparison(record)),
        "trials": _rows(trial_table(record)),
    }


def print_summary(run: Source, console: Console | None = None) -> None:
    """Prints comparison, best trials, verdict and counts, as wide as the screen (80 columns where there is none)."""
    record = read(run)
    console = console or Console(highlight=False, markup=False)
    trials = trial_table(record)
    compared = show_comparison(comparison(record), record.metric_title)
    if not compared.empty:
        console.print(_grid(compared.reset_index(names=""), {""}, {}))
        console.print()
    if not trials.empty:
        console.print(f"Best {min(TOP, len(trials))} of {len(trials)} trials, differences in points:\n")
        shown = show_trials(trials).head(TOP)
        console.print(fit(shown, parameter_columns(trials), console, record.metric_title))
        console.print()
    console.print(verdict(record), soft_wrap=not console.is_terminal)
    console.print()
    for line in count_lines(record):
        console.print(line, soft_wrap=not console.is_terminal)


def print_seeds(run: Source, console: Console | None = None) -> None:
    """Prints what the runs under fresh seeds say of each configuration, and the verdict."""
    record = read(run)
    console = console or Console(highlight=False, markup=False)
    console.print(_grid(show_seeds(seed_table(record), record.metric_title), {CONFIG}, {}))
    console.print()
    console.print(verdict(record), soft_wrap=not console.is_terminal)


def print_overview(table: pd.DataFrame, console: Console | None = None) -> None:
    """Prints several runs side by side, a column each, so that a narrow screen has room."""
    console = console or Console(highlight=False, markup=False)
    turned = table.set_index("run").T.reset_index(names="")
    console.print(_grid(turned, {""}, {name: name for name in turned.columns}))


def fit(shown: pd.DataFrame, parameters: list[str], console: Console, metric_title: str) -> Table:
    """The trials in as many columns as the screen has room for; where even few are too many, parameters share one."""
    few = shown[[RANK, TRIAL, *parameters, SCORE, DIFFERENCE, STATE]]
    many = shown[[RANK, TRIAL, *parameters, SCORE, DIFFERENCE, BEST_EPOCH, EPOCHS, TIME, STATE]]
    unlimited = console.options.update(max_width=UNLIMITED)
    headings = HEADERS | {SCORE: metric_title.replace(" ", "\n")}
    for table in (_grid(many, {STATE}, headings), _grid(few, {STATE}, headings)):
        if Measurement.get(console, unlimited, table).maximum <= console.width:
            return table
    together = few.drop(columns=parameters)
    rows = shown[parameters].to_dict("records")
    together[PARAMETERS] = [" ".join(f"{name}={value}" for name, value in row.items() if value) for row in rows]
    return _grid(together, {STATE, PARAMETERS}, headings)


def _grid(table: pd.DataFrame, left: set[str], headings: Mapping[str, str]) -> Table:
    """A table for the screen; columns but those in `left` are set right, as numbers are."""
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in table.columns:
        heading = headings.get(name, name.replace("_", "\n"))
        grid.add_column(heading, justify="left" if name in left else "right", overflow="fold")
    for row in table.itertuples(index=False):
        grid.add_row(*row)
    return grid


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    values = table.astype(object)
    rows = values.where(values.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
