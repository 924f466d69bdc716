"""Runs the studies of a plan: the search, and its best trials again under fresh seeds."""

from collections.abc import Sequence

from tuning.execution.run_trials import Callbacks, run_trials
from tuning.monitoring.progress import show_progress
from tuning.monitoring.trackers.tracker import tracked
from tuning.planning.plan import SearchPlan
from tuning.study.open_study import open_confirmation
from tuning.study.study import Study


def run_study(study: Study, plan: SearchPlan, title: str, callbacks: Callbacks | None = None) -> None:
    """Runs the remaining trials of a study, and shows its progress.

    Args:
        study: the search of the plan, or its confirmation.
        plan: plan of the search.
        title: heading of the progress.
        callbacks: callbacks besides the tracker that the run's settings name.

    Raises:
        InputError: if the journal, or a checkpoint, can no longer be written.
    """
    if study.exhausted:
        return
    with show_progress(study, title, metric=plan.run.setting("metric_title")), tracked(study, plan.run) as trackers:
        others = callbacks or Callbacks()
        both = Callbacks([*trackers, *others.tune_callbacks], others.on_ray_death)
        run_trials(study, plan.setup, plan.limits, plan.run, callbacks=both)


def run_under_fresh_seeds(
    plan: SearchPlan, trials: Sequence[int], seeds: int, callbacks: Callbacks | None = None
) -> None:
    """Runs trials of the search and its baseline again until each has run under `seeds` fresh seeds.

    Args:
        plan: plan of the search.
        trials: numbers of the trials.
        seeds: number of fresh seeds for each trial, including those that it was run under before.
        callbacks: callbacks besides the tracker.

    Raises:
        InputError: if the journal, or a checkpoint, can no longer be written.
    """
    baseline = plan.run.baseline_number
    repeated = list(trials) if baseline is None else [baseline, *trials]
    study = open_confirmation(plan.run, plan.space, repeated, seeds)
    numbers = ", ".join(str(number) for number in dict.fromkeys(repeated))
    run_study(study, plan, f"running trials {numbers} again under {seeds} fresh seeds each", callbacks)
