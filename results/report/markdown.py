"""The report as Markdown."""

from textwrap import shorten

import pandas as pd

from results.report.cautions import cautions
from results.report.choice import choice
from results.report.facts import (
    count_lines,
    environment_lines,
    failures,
    range_table,
    report_title,
    score_note,
    setting_lines,
)
from results.report.verdict import verdict
from results.snapshot import RunSnapshot
from results.tables.columns import BEST_EPOCH, CONFIG, DIFFERENCE, RACE, REASON, SCORE, SECONDS, STATE
from results.tables.formatting import show_comparison, show_seeds, show_trials
from results.tables.fresh_seeds import seed_table
from results.tables.trials import comparison, trial_table

HEADINGS = {DIFFERENCE: "difference (points)", BEST_EPOCH: "best epoch", SECONDS: "time"}
"""Headings of the trial table in a report that differ from the column's name; the score's is the metric's title."""

REASON_WIDTH = 60
"""Characters of a reason that the table of trials shows; the list of failures has them in full."""


def markdown_report(snapshot: RunSnapshot) -> str:
    """The report: verdict, best and baseline, what ran, what was searched, every trial, failures, environment."""
    sections = {
        "Best configuration and baseline": _best_and_baseline(snapshot),
        "Fresh seeds": _fresh_seeds(snapshot),
        "Trials": "\n".join(f"- {line}" for line in count_lines(snapshot)),
        "What was searched": _searched(snapshot),
        "Every trial": _every_trial(snapshot),
        "Failures": "\n".join(f"- {study}, trial {number}: {inline(why)}" for study, number, why in failures(snapshot)),
        "Environment": _pairs(environment_lines(snapshot.environment)) or "It was not recorded.",
        "Command": f"```sh\n{snapshot.settings['command']}\n```" if snapshot.settings.get("command") else "",
    }
    bodies = [f"## {heading}\n\n{body}" for heading, body in sections.items() if body]
    first = [f"# {report_title(snapshot)}", f"**{inline(verdict(snapshot))}**", *map(inline, choice(snapshot))]
    return "\n\n".join([*first, *bodies]) + "\n"


def _best_and_baseline(snapshot: RunSnapshot) -> str:
    table = comparison(snapshot)
    if table.empty:
        return ""
    shown = show_comparison(table, snapshot.metric_title).reset_index(names="")
    notes = "".join(f"- {inline(line)}\n" for line in cautions(snapshot))
    return f"{markdown_table(shown, left={''})}\n\n{inline(score_note(snapshot))}\n\n{notes}".rstrip()


def _fresh_seeds(snapshot: RunSnapshot) -> str:
    table = seed_table(snapshot)
    return "" if table.empty else markdown_table(show_seeds(table, snapshot.metric_title), left={CONFIG, RACE})


def _searched(snapshot: RunSnapshot) -> str:
    ranges = range_table(snapshot)
    table = "" if ranges.empty else markdown_table(ranges, left={"parameter", "range"})
    return "\n\n".join(part for part in (table, _pairs(setting_lines(snapshot))) if part)


def _every_trial(snapshot: RunSnapshot) -> str:
    table = trial_table(snapshot)
    if table.empty:
        return "No trial was started."
    shown = show_trials(table)
    shown[REASON] = [shorten(text, REASON_WIDTH, placeholder=" ...") for text in shown[REASON]]
    return markdown_table(shown.rename(columns=HEADINGS | {SCORE: snapshot.metric_title}), left={STATE, REASON})


def _pairs(lines: list[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {inline(value)}" for name, value in lines)


def inline(value: object) -> str:
    """Text on one line of Markdown, escaped so that it is printed as it is."""
    text = " ".join(str(value).split())
    for mark in "\\`*<|":
        text = text.replace(mark, f"\\{mark}")
    return text


def markdown_table(table: pd.DataFrame, left: set[str]) -> str:
    """A table of text in Markdown; the columns in `left` are aligned left, the others right."""
    sides = ["left" if name in left else "right" for name in table.columns]
    escaped = table.rename(columns=inline).map(inline)
    return str(escaped.to_markdown(index=False, disable_numparse=True, colalign=sides))
