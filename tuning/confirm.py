"""Runs a plan's studies, and repeats trials of a search under fresh seeds."""

from collections.abc import Sequence

from tuning.engine import run_trials
from tuning.open_study import open_confirmation
from tuning.plan import Plan
from tuning.progress import show_progress
from tuning.study import Study


def run_study(study: Study, plan: Plan, title: str) -> None:
    """Runs what the study has left to run, and shows how it goes."""
    if not study.exhausted:
        with show_progress(study, title, metric=plan.run.setting("metric_title")):
            run_trials(study, plan.shared, plan.limits, plan.run)


def confirm(plan: Plan, trials: Sequence[int], seeds: int) -> None:
    """Runs trials of the search, by number, and its baseline again until each has run under so many fresh seeds."""
    baseline = plan.run.baseline_trial
    repeated = list(trials) if baseline is None else [baseline, *trials]
    study = open_confirmation(plan.run, plan.space, repeated, seeds)
    numbers = ", ".join(str(number) for number in dict.fromkeys(repeated))
    run_study(study, plan, f"running trials {numbers} again under {seeds} fresh seeds each")
