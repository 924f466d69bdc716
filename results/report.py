"""The report of a search, and the files that are made from its run folder."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import shorten

import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from results.display import show_comparison, show_duration, show_trials, show_value
from results.record import COMPLETE, FAILED, PRUNED, RUNNING, STATES, WAITING, Record, Source, read, reason
from results.tables import BEST_EPOCH, DIFFERENCE, END, SCORE, STATE, TIME, comparison, trial_table
from results.verdict import verdict
from san_core.errors import InputError
from tuning.run_folder import SECONDS, write_whole

CAUTION = (
    "The {metric} in the search is that of the best epoch on the validation questions, and the best configuration was "
    "chosen by it among all trials, so it flatters; runs under fresh seeds were not chosen. The test questions were "
    "not used."
)
"""What a reader has to know of the numbers above it."""

SETTINGS = {
    "data_name": "data set",
    "data": "read from",
    "metric_title": "metric",
    "data_fingerprint": "fingerprint of the data",
    "validation_questions": "validation questions",
    "space": "search space",
    "sampler": "sampler",
    "pruner": "pruner",
    "trials": "trials asked for",
    "confirm": "fresh seeds asked for",
    "seed": "seed",
    "concurrent": "trials at a time",
    "cpus_per_trial": "cores for each trial",
    "gpus_per_trial": "GPUs for each trial",
    "started": "started",
}
"""The settings that the report lists, and what it calls them; fixed, baseline and command have their own places."""

HEADINGS = {DIFFERENCE: "difference (points)", BEST_EPOCH: "best epoch", TIME: "time"}
"""Columns of the trial table whose heading in the report is not their name; the score's is the metric's title."""

REASON_WIDTH = 60
"""Characters of a reason that the table of trials shows; failures have theirs in full further down."""


def write(run: Source) -> None:
    """Writes the trial table (CSV and Parquet), the comparison (CSV) and the report into the run folder.

    Each file appears only when it is whole.

    Raises:
        InputError: if the folder cannot be read or written.
    """
    record = read(run)
    folder, trials = record.folder, trial_table(record)
    _replace(folder.trials_csv, lambda path: trials.to_csv(path, index=False))
    _replace(folder.trials_parquet, lambda path: trials.to_parquet(path, index=False))
    _replace(folder.comparison_csv, lambda path: comparison(record).to_csv(path, index=False))
    _replace(folder.report, lambda path: path.write_text(markdown(record), encoding="utf-8"))


def markdown(run: Source) -> str:
    """The report: verdict, best against baseline, what ran, what was searched, every trial, failures, environment.

    Raises:
        InputError: if the folder cannot be read.
    """
    record = read(run)
    sections = {
        "Best configuration and baseline": _best_and_baseline(record),
        "Trials": _counts(record),
        "What was searched": _searched(record),
        "Every trial": _every_trial(record),
        "Failures": _failures(record),
        "Environment": _environment(record),
        "Command": f"```sh\n{record.settings['command']}\n```" if record.settings.get("command") else "",
    }
    data = record.settings.get("data_name")
    title = f"# Search {record.folder.path.resolve().name}" + (f" on {data}" if data else "")
    bodies = [f"## {heading}\n\n{body}" for heading, body in sections.items() if body]
    return "\n\n".join([title, f"**{_inline(verdict(record))}**", *bodies]) + "\n"


def busy_seconds(trials: Iterable[FrozenTrial]) -> float:
    """Wall time in which at least one trial ran, from the trials that have ended; pauses between them do not count."""
    spans = sorted(
        (trial.datetime_start, trial.datetime_complete)
        for trial in trials
        if trial.datetime_start is not None and trial.datetime_complete is not None
    )
    merged: list[tuple[datetime, datetime]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return sum((end - start).total_seconds() for start, end in merged)


def _replace(path: Path, write_to: Callable[[Path], object]) -> None:
    try:
        write_whole(path, write_to)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}; accepted: a run folder that can be written") from error


def _best_and_baseline(record: Record) -> str:
    table = comparison(record)
    if table.empty:
        return ""
    shown = show_comparison(table, record.metric_title).reset_index(names="")
    return f"{_table(shown, left={''})}\n\n{CAUTION.format(metric=_inline(record.metric_title))}"


def _counts(record: Record) -> str:
    return "\n".join(f"- {line}" for line in count_lines(record))


def count_lines(record: Record) -> list[str]:
    """How many trials ran and how they ended, a line for each study."""
    lines = [_count_line("Search", record.search)]
    if record.confirmations:
        lines.append(_count_line("Fresh seeds", record.confirmations))
    return lines


def _count_line(name: str, trials: Sequence[FrozenTrial]) -> str:
    states = [STATES[trial.state] for trial in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in (COMPLETE, PRUNED, FAILED, RUNNING))
    trained = sum(float(trial.user_attrs.get(SECONDS, 0)) for trial in trials)
    times = f"{show_duration(trained)} of trial time in {show_duration(busy_seconds(trials))} of wall time"
    return f"{name}: {len(trials) - states.count(WAITING)} trials run ({counts}), {times}."


def _searched(record: Record) -> str:
    lines = [f"- {name}: {_inline(record.settings[key])}" for key, name in SETTINGS.items() if key in record.settings]
    fixed = record.settings.get("fixed") or {}
    if fixed:
        lines.append("- held fixed: " + ", ".join(f"{name} {_inline(value)}" for name, value in fixed.items()))
    return "\n\n".join(part for part in (_ranges(record), "\n".join(lines)) if part)


def _ranges(record: Record) -> str:
    """The range of each parameter, as the latest trial that has it drew it, beside the baseline's value."""
    ranges = {name: found for trial in record.search for name, found in trial.distributions.items()}
    baseline = record.settings.get("baseline") or {}
    rows = [(name, _range(name, found), show_value(name, baseline.get(name, ""))) for name, found in ranges.items()]
    table = pd.DataFrame(rows, columns=["parameter", "range", "baseline"])
    return _table(table, left={"parameter", "range"}) if rows else ""


def _range(name: str, distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return "one of " + ", ".join(str(choice) for choice in distribution.choices)
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return str(distribution)
    low, high = show_value(name, distribution.low), show_value(name, distribution.high)
    step = f", step {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"{low} to {high}{', logarithmic' if distribution.log else ''}{step}"


def _every_trial(record: Record) -> str:
    table = trial_table(record)
    if table.empty:
        return "No trial was started."
    shown = show_trials(table)
    shown[END] = [shorten(text, REASON_WIDTH, placeholder=" ...") for text in shown[END]]
    return _table(shown.rename(columns=HEADINGS | {SCORE: record.metric_title}), left={STATE, END})


def _failures(record: Record) -> str:
    lines = []
    for study, trials in (("search", record.search), ("fresh seeds", record.confirmations)):
        failed = [trial for trial in trials if STATES[trial.state] == FAILED]
        lines += [f"- {study}, trial {trial.number}: {_inline(reason(trial))}" for trial in failed]
    return "\n".join(lines)


def _environment(record: Record) -> str:
    lines = []
    for key, value in record.environment.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {version}" for name, version in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(item) for item in value) or "none"
        lines.append(f"- {key}: {_inline(value)}")
    return "\n".join(lines) or "It was not recorded."


def _inline(value: object) -> str:
    """Any text on one line of Markdown, as it reads."""
    text = " ".join(str(value).split())
    for mark in "\\`*<|":
        text = text.replace(mark, f"\\{mark}")
    return text


def _table(table: pd.DataFrame, left: set[str]) -> str:
    """A table of text in Markdown; columns but those named are set right, as numbers are."""
    sides = ["left" if name in left else "right" for name in table.columns]
    escaped = table.rename(columns=_inline).map(_inline)
    return str(escaped.to_markdown(index=False, disable_numparse=True, colalign=sides))
