"""Several searches side by side."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from results.plots.comparison_plots import progress_plots
from results.report.html import figure_data, render
from results.report.verdict import verdict
from results.snapshot import COMPLETE, Record, best_score, state_of
from results.tables.costs import busy_seconds, training_seconds
from results.tables.formatting import show_duration, show_percent, show_value
from results.tables.fresh_seeds import seed_samples
from results.tables.intervals import Sample, mean_interval
from results.tables.trials import best_trial, trial_table

RUN, DATA, BEST_SCORE, FRESH_MEAN = "run", "data", "best in the search", "mean over fresh seeds"


def named(records: Sequence[Record]) -> dict[str, Record]:
    """The records by their run's name, or by their path where two have the same name."""
    counts = Counter(record.name for record in records)
    return {
        record.name if counts[record.name] == 1 else str(record.folder.path.resolve()): record for record in records
    }


def overview(records: Mapping[str, Record]) -> pd.DataFrame:
    """A row for each run, as text: what it searched, how, what it found and what that took."""
    return pd.DataFrame([_row(name, record) for name, record in records.items()], dtype="str")


def best_values(records: Mapping[str, Record]) -> pd.DataFrame:
    """The best configurations, as text: a row for each hyperparameter, a column for each run."""
    found = {name: _best_params(record) for name, record in records.items()}
    names = dict.fromkeys(parameter for values in found.values() for parameter in values)
    rows = [
        [parameter, *(show_value(parameter, values.get(parameter, "")) for values in found.values())]
        for parameter in names
    ]
    return pd.DataFrame(rows, columns=["hyperparameter", *found], dtype="str")


def contradictions(records: Mapping[str, Record]) -> list[str]:
    """Why the runs' scores must not be compared, if anything speaks against it."""
    found = []
    for key, what in (("metric_title", "by different metrics"), ("data_fingerprint", "on different data")):
        values = {name: str(getattr(r, key, None) or r.settings.get(key, "unknown")) for name, r in records.items()}
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{name}: {value}" for name, value in values.items())
            found.append(f"These runs were scored {what} ({listed}): their scores cannot be compared.")
    return found


def comparison_page(records: Mapping[str, Record], place: Path) -> str:
    """The report of several searches.

    Args:
        records: by name.
        place: file the page is for; its links to the runs' own reports start there.
    """
    plots = progress_plots(records)
    folder = place.resolve().parent
    return render(
        "comparison.html",
        title=f"{len(records)} searches compared",
        overview=overview(records),
        values=best_values(records),
        verdicts={name: verdict(record) for name, record in records.items()},
        links={name: os.path.relpath(r.folder.report_page.resolve(), folder) for name, r in records.items()},
        cautions=contradictions(records),
        plots=plots,
        data=figure_data(plots),
    )


def _row(name: str, record: Record) -> dict[str, str]:
    best, settings = best_trial(record), record.settings
    sample = seed_samples(record).get(-1 if best is None else best, Sample.of([]))
    interval = mean_interval(sample)
    fresh = show_percent(sample.mean)
    if sample.count > 1:
        fresh += f" ± {100 * interval.half:.2f} ({sample.count} seeds)"
    complete = sum(state_of(trial) == COMPLETE for trial in record.search)
    scores = {trial.number: best_score(trial) for trial in record.search}
    return {
        RUN: name,
        DATA: str(settings.get("data_name", "")),
        "space": str(settings.get("space", "")),
        "sampler": str(settings.get("sampler", "")),
        "pruner": str(settings.get("pruner", "")),
        "trials": f"{len(trial_table(record))} ({complete} complete)",
        "metric": record.metric_title,
        BEST_SCORE: "" if best is None else f"{show_percent(scores[best])} (trial {best})",
        FRESH_MEAN: fresh,
        "training": show_duration(training_seconds([*record.search, *record.confirmations])),
        "wall time": show_duration(busy_seconds([*record.search, *record.confirmations])),
    }


def _best_params(record: Record) -> dict[str, object]:
    number = best_trial(record)
    return next((trial.params for trial in record.search if trial.number == number), {})
