"""Runs a plan's studies, and repeats trials of a search under fresh seeds."""

from collections.abc import Sequence

from tuning.execution.run_trials import Callbacks, run_trials
from tuning.monitoring.progress import show_progress
from tuning.monitoring.trackers.tracker import tracked
from tuning.plan import Plan
from tuning.study.open_study import open_confirmation
from tuning.study.study import Study


def run_study(study: Study, plan: Plan, title: str, callbacks: Callbacks | None = None) -> None:
    """Runs what the study has left to run, shows how it goes, and calls the tracker and the other callbacks."""
    if study.exhausted:
        return
    with show_progress(study, title, metric=plan.run.setting("metric_title")), tracked(study, plan.run) as trackers:
        others = callbacks or Callbacks()
        both = Callbacks([*trackers, *others.tune_callbacks], others.on_ray_death)
        run_trials(study, plan.shared, plan.limits, plan.run, callbacks=both)


def confirm(plan: Plan, trials: Sequence[int], seeds: int, callbacks: Callbacks | None = None) -> None:
    """Runs trials of the search, by number, and its baseline again until each has run under so many fresh seeds."""
    baseline = plan.run.baseline_trial
    repeated = list(trials) if baseline is None else [baseline, *trials]
    study = open_confirmation(plan.run, plan.space, repeated, seeds)
    numbers = ", ".join(str(number) for number in dict.fromkeys(repeated))
    run_study(study, plan, f"running trials {numbers} again under {seeds} fresh seeds each", callbacks)
