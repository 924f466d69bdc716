"""The report as Markdown."""

from textwrap import shorten

import pandas as pd

from results.report.cautions import cautions
from results.report.facts import (
    CAUTION,
    count_lines,
    environment_lines,
    failures,
    headline,
    range_table,
    setting_lines,
)
from results.report.verdict import verdict
from results.snapshot import Record, Source, read
from results.tables.formatting import show_comparison, show_seeds, show_trials
from results.tables.fresh_seeds import seed_table
from results.tables.trials import BEST_EPOCH, CONFIG, DIFFERENCE, END, SCORE, STATE, TIME, comparison, trial_table

HEADINGS = {DIFFERENCE: "difference (points)", BEST_EPOCH: "best epoch", TIME: "time"}
"""Columns of the trial table whose heading in a report is not their name; the score's is the metric's title."""

REASON_WIDTH = 60
"""Characters of a reason that the table of trials shows; failures have theirs in full further down."""


def markdown(run: Source) -> str:
    """The report: verdict, best against baseline, what ran, what was searched, every trial, failures, environment.

    Raises:
        InputError: if the folder cannot be read.
    """
    record = read(run)
    sections = {
        "Best configuration and baseline": _best_and_baseline(record),
        "Fresh seeds": _fresh_seeds(record),
        "Trials": "\n".join(f"- {line}" for line in count_lines(record)),
        "What was searched": _searched(record),
        "Every trial": _every_trial(record),
        "Failures": "\n".join(f"- {study}, trial {number}: {inline(why)}" for study, number, why in failures(record)),
        "Environment": _pairs(environment_lines(record)) or "It was not recorded.",
        "Command": f"```sh\n{record.settings['command']}\n```" if record.settings.get("command") else "",
    }
    bodies = [f"## {heading}\n\n{body}" for heading, body in sections.items() if body]
    return "\n\n".join([f"# {headline(record)}", f"**{inline(verdict(record))}**", *bodies]) + "\n"


def _best_and_baseline(record: Record) -> str:
    table = comparison(record)
    if table.empty:
        return ""
    shown = show_comparison(table, record.metric_title).reset_index(names="")
    notes = "".join(f"- {inline(line)}\n" for line in cautions(record))
    caution = CAUTION.format(metric=inline(record.metric_title))
    return f"{markdown_table(shown, left={''})}\n\n{caution}\n\n{notes}".rstrip()


def _fresh_seeds(record: Record) -> str:
    table = seed_table(record)
    return "" if table.empty else markdown_table(show_seeds(table, record.metric_title), left={CONFIG})


def _searched(record: Record) -> str:
    ranges = range_table(record)
    table = "" if ranges.empty else markdown_table(ranges, left={"parameter", "range"})
    return "\n\n".join(part for part in (table, _pairs(setting_lines(record))) if part)


def _every_trial(record: Record) -> str:
    table = trial_table(record)
    if table.empty:
        return "No trial was started."
    shown = show_trials(table)
    shown[END] = [shorten(text, REASON_WIDTH, placeholder=" ...") for text in shown[END]]
    return markdown_table(shown.rename(columns=HEADINGS | {SCORE: record.metric_title}), left={STATE, END})


def _pairs(lines: list[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {inline(value)}" for name, value in lines)


def inline(value: object) -> str:
    """Any text on one line of Markdown, as it reads."""
    text = " ".join(str(value).split())
    for mark in "\\`*<|":
        text = text.replace(mark, f"\\{mark}")
    return text


def markdown_table(table: pd.DataFrame, left: set[str]) -> str:
    """A table of text in Markdown; columns but those named are set right, as numbers are."""
    sides = ["left" if name in left else "right" for name in table.columns]
    escaped = table.rename(columns=inline).map(inline)
    return str(escaped.to_markdown(index=False, disable_numparse=True, colalign=sides))
