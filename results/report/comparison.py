"""The report of several searches side by side."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from results.intervals import Sample, mean_interval
from results.plots.progress import progress_plots
from results.report.html import figure_data, render_template
from results.report.verdict import verdict
from results.snapshot import COMPLETE, RunSnapshot, best_score, state_of
from results.tables.costs import training_seconds
from results.tables.formatting import show_duration, show_percent, show_value
from results.tables.fresh_seeds import seed_samples
from results.tables.slots import all_spans, busy_seconds
from results.tables.trials import trial_table

RUN, DATA, BEST_SCORE, FRESH_MEAN = "run", "data", "score in the search", "mean over fresh seeds"


def snapshots_by_name(snapshots: Sequence[RunSnapshot]) -> dict[str, RunSnapshot]:
    """The snapshots by their run's name, or by its path if two runs have the same name."""
    counts = Counter(snapshot.name for snapshot in snapshots)
    return {each.name if counts[each.name] == 1 else str(each.folder.path.resolve()): each for each in snapshots}


def overview_table(snapshots: Mapping[str, RunSnapshot]) -> pd.DataFrame:
    """A row for each run, as text: what it searched, with which sampler and pruner, what it found, how long it took."""
    return pd.DataFrame([_row(name, snapshot) for name, snapshot in snapshots.items()], dtype="str")


def best_values(snapshots: Mapping[str, RunSnapshot]) -> pd.DataFrame:
    """The best configurations, as text: a row for each hyperparameter, a column for each run."""
    found = {name: snapshot.best.params if snapshot.best else {} for name, snapshot in snapshots.items()}
    names = dict.fromkeys(parameter for values in found.values() for parameter in values)
    rows = [
        [parameter, *(show_value(parameter, values.get(parameter, "")) for values in found.values())]
        for parameter in names
    ]
    return pd.DataFrame(rows, columns=["hyperparameter", *found], dtype="str")


def reasons_not_to_compare(snapshots: Mapping[str, RunSnapshot]) -> list[str]:
    """Why the runs' scores cannot be compared, a sentence for each reason; empty if they can."""
    found = []
    for key, what in (("metric_title", "by different metrics"), ("data_fingerprint", "on different data")):
        values = {name: str(getattr(r, key, None) or r.settings.get(key, "unknown")) for name, r in snapshots.items()}
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{name}: {value}" for name, value in values.items())
            found.append(f"These runs were scored {what} ({listed}): their scores cannot be compared.")
    return found


def comparison_page(snapshots: Mapping[str, RunSnapshot], path: Path) -> str:
    """The HTML report of several searches.

    Args:
        snapshots: snapshots of the runs, by the run's name.
        path: file that the page will be written to; its links to the runs' own reports are relative to it.
    """
    plots = progress_plots(snapshots)
    folder = path.resolve().parent
    return render_template(
        "comparison.html",
        title=f"{len(snapshots)} searches compared",
        overview=overview_table(snapshots),
        values=best_values(snapshots),
        verdicts={name: verdict(snapshot) for name, snapshot in snapshots.items()},
        links={name: os.path.relpath(r.folder.report_page.resolve(), folder) for name, r in snapshots.items()},
        cautions=reasons_not_to_compare(snapshots),
        plots=plots,
        data=figure_data(plots),
    )


def _row(name: str, snapshot: RunSnapshot) -> dict[str, str]:
    best, settings = snapshot.best, snapshot.settings
    sample = seed_samples(snapshot).get(best.number if best else -1, Sample.of([]))
    interval = mean_interval(sample)
    fresh = show_percent(sample.mean)
    if sample.count > 1:
        fresh += f" ± {100 * interval.half:.2f} ({sample.count} seeds)"
    complete = sum(state_of(trial) == COMPLETE for trial in snapshot.search)
    return {
        RUN: name,
        DATA: str(settings.get("data_name", "")),
        "space": str(settings.get("space", "")),
        "sampler": str(settings.get("sampler", "")),
        "pruner": str(settings.get("pruner", "")),
        "trials": f"{len(trial_table(snapshot))} ({complete} complete)",
        "metric": snapshot.metric_title,
        BEST_SCORE: f"{show_percent(best_score(best))} (trial {best.number})" if best else "",
        FRESH_MEAN: fresh,
        "training": show_duration(training_seconds(snapshot.all_trials)),
        "wall time": show_duration(busy_seconds(all_spans(snapshot))),
    }
