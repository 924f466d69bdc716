"""Facts of a search besides its scores: what was searched on which data, what ran, what failed."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from results.jobs import Job
from results.preparations import preparations
from results.snapshot import (
    COMPLETE,
    DIVERGED,
    FAILED,
    PRUNED,
    RUNNING,
    STOPPED,
    WAITING,
    RunSnapshot,
    reason,
    state_of,
)
from results.tables.costs import training_seconds
from results.tables.formatting import show_duration, show_value
from results.tables.slots import busy_seconds, spans

SETTING_TITLES = {
    "data_name": "data set",
    "data": "read from",
    "metric_title": "metric",
    "data_fingerprint": "fingerprint of the data",
    "images": "images",
    "validation_questions": "validation questions",
    "space": "search space",
    "sampler": "sampler",
    "pruner": "pruner",
    "trials": "trials asked for",
    "confirm": "fresh seeds asked for",
    "seed": "seed",
    "concurrent": "trials at a time",
    "cohort": "trials trained together",
    "cpus_per_trial": "cores for each trial",
    "gpus_per_trial": "GPUs for each trial",
    "started": "started",
}
"""The settings that the report lists, in its order: the key in settings.json and what the report calls it.

`fixed`, `baseline` and `command` have sections of their own; `cohort` is left out where it is 1.
"""

OF_ONE_PREPARATION = ("data", "data_fingerprint", "images")
"""The settings that each of several preparations has for itself."""

COHORT_TITLES = {
    "concurrent": "cohorts at a time",
    "cpus_per_trial": "cores for each cohort",
    "gpus_per_trial": "GPUs for each cohort",
}
"""What the report calls these settings of a search with cohorts."""


def score_note(snapshot: RunSnapshot) -> str:
    """What to know of the scores in the comparison of best and baseline."""
    several = len(snapshot.race.finalists) if snapshot.race.was_run else 1
    chosen = f"{several} finalists were" if several > 1 else "best configuration was"
    then = (
        "the best was chosen among these by its mean over fresh seeds, which is a little too high for that reason"
        if several > 1
        else "nothing was chosen among the runs under fresh seeds"
    )
    return (
        f"The {snapshot.metric_title} in the search is that of the best epoch on the validation questions, and the "
        f"{chosen} chosen by it among all trials, so it is too high on average; {then}. The test questions were not "
        "used."
    )


def report_title(snapshot: RunSnapshot) -> str:
    """The report's title: the run's name and its data set."""
    data = snapshot.settings.get("data_name")
    return f"Search {snapshot.name}" + (f" on {data}" if data else "")


def searched(snapshot: RunSnapshot) -> str:
    """What was searched on which data, in one sentence."""
    names = dict.fromkeys(name for trial in snapshot.search for name in trial.distributions)
    data, questions = snapshot.settings.get("data_name"), snapshot.settings.get("validation_questions")
    on = f" on {data}" if data else ""
    by = f", scored on {questions:,} validation questions" if questions else ""
    how = ", ".join(
        f"{name} {snapshot.settings[name]}" for name in ("sampler", "pruner") if snapshot.settings.get(name)
    )
    return f"Searched: {', '.join(names) or 'nothing yet'}{on}{by}" + (f" ({how})." if how else ".")


def count_lines(snapshot: RunSnapshot) -> list[str]:
    """Number of trials that ran and how they ended, a line for each study."""
    lines = [_count_line("Search", snapshot.search, snapshot.jobs)]
    if snapshot.repeats:
        again = ", ".join(f"{number} as {snapshot.repeats[number]}" for number in sorted(snapshot.repeats))
        lines.append(f"Run again, because they had failed and the search was resumed: {again}.")
    if snapshot.confirmations:
        lines.append(_count_line("Fresh seeds", snapshot.confirmations, snapshot.confirmation_jobs))
    if snapshot.left_out:
        lines.append(
            f"Left out: {snapshot.left_out} trials not trained here: copied from an earlier run, or chosen twice."
        )
    if snapshot.stopped_by:
        lines.append(f"The search ended: {snapshot.stopped_by}.{_to_finish(snapshot)}")
    return lines


def _to_finish(snapshot: RunSnapshot) -> str:
    stopped = sum(state_of(trial) == STOPPED for trial in snapshot.search)
    trials = f"{stopped} trial{'s' if stopped > 1 else ''}"
    return f" It stopped {trials}, to go on when the search is resumed with more." if stopped else ""


def _count_line(name: str, trials: Sequence[FrozenTrial], jobs: Sequence[Job]) -> str:
    states = [state_of(trial) for trial in trials]
    rare = [state for state in (DIVERGED, STOPPED) if state in states]
    shown = [COMPLETE, PRUNED, *rare, FAILED, RUNNING]
    counts = ", ".join(f"{states.count(state)} {state}" for state in shown)
    trained, wall = show_duration(training_seconds(trials)), show_duration(busy_seconds(spans(trials, jobs)))
    times = f"{trained} of {'device' if jobs else 'trial'} time in {wall} of wall time"
    return f"{name}: {len(trials) - states.count(WAITING)} trials run ({counts}), {times}."


def setting_lines(snapshot: RunSnapshot) -> list[tuple[str, str]]:
    """Name and value of each setting of the search in SETTING_TITLES, and of the training settings that were fixed."""
    has_cohorts = snapshot.settings.get("cohort", 1) > 1
    titles = SETTING_TITLES | (COHORT_TITLES if has_cohorts else {})
    several = preparations(snapshot.settings)
    left_out = {*(() if has_cohorts else ("cohort",)), *(OF_ONE_PREPARATION if several else ())}
    shown = [key for key in titles if key in snapshot.settings and key not in left_out]
    lines = [(titles[key], str(snapshot.settings[key])) for key in shown]
    lines += [
        (f"data {name}", f"{each.images}; read from {each.folder}, fingerprint {each.fingerprint}")
        for name, each in several.items()
    ]
    fixed = snapshot.settings.get("fixed") or {}
    if (parts := fixed.get("epochs_per_pass", 1)) > 1:
        lines.append(("an epoch is", f"1/{parts:,} of a pass over the training questions"))
    if fixed:
        lines.append(("held fixed", ", ".join(f"{name} {value}" for name, value in fixed.items())))
    return lines


def range_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """The range of each parameter, beside the baseline's value: parameter, range, baseline."""
    baseline = snapshot.settings.get("baseline") or {}
    rows = [
        (name, show_range(name, found), show_value(name, baseline.get(name, "")))
        for name, found in snapshot.distributions.items()
    ]
    return pd.DataFrame(rows, columns=["parameter", "range", "baseline"])


def show_range(name: str, distribution: BaseDistribution) -> str:
    """A parameter's range as text."""
    if isinstance(distribution, CategoricalDistribution):
        return "one of " + ", ".join(str(choice) for choice in distribution.choices)
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return str(distribution)
    low, high = show_value(name, distribution.low), show_value(name, distribution.high)
    step = f", step {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"{low} to {high}{', logarithmic' if distribution.log else ''}{step}"


def failures(snapshot: RunSnapshot) -> list[tuple[str, int, str]]:
    """Study, trial and reason of each failed trial."""
    studies = (("search", snapshot.search), ("fresh seeds", snapshot.confirmations))
    return [
        (study, trial.number, reason(trial))
        for study, trials in studies
        for trial in trials
        if state_of(trial) == FAILED
    ]


def failures_by_reason(snapshot: RunSnapshot) -> dict[str, str]:
    """The trials that failed for each reason, as text, by reason."""
    found: dict[str, dict[str, list[str]]] = {}
    for study, number, why in failures(snapshot):
        found.setdefault(why, {}).setdefault(study, []).append(str(number))
    return {
        why: "; ".join(f"{study}, trial {', '.join(numbers)}" for study, numbers in studies.items())
        for why, studies in found.items()
    }


def environment_lines(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Versions and hardware: name and value of each."""
    return [(name, _listed(value)) for name, value in environment.items()]


def _listed(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
