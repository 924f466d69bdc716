"""Runs the studies of a plan: the search, and its best trials again under fresh seeds, to choose among them."""

from collections.abc import Collection, Iterable, Sequence

from results.race import Run
from results.snapshot import load_snapshot
from san_core.command_line import print_message
from tuning.execution.run_trials import Callbacks, run_trials
from tuning.monitoring.progress import show_progress
from tuning.monitoring.trackers.tracker import tracked
from tuning.planning.plan import SearchPlan
from tuning.study.open_study import open_confirmation, open_fresh_runs
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
    run_study(study, plan, f"running {_named(repeated)} again under {seeds} fresh seeds each", callbacks)


def run_race(plan: SearchPlan, callbacks: Callbacks | None = None) -> None:
    """Chooses the best of the finalists: runs them and the baseline under fresh seeds, see `results.race`.

    What runs next follows from the journal each time, so an interrupted race goes on with the same decisions. A run
    that fails is done again only when the search is resumed.

    Args:
        plan: plan of the search, with the number of fresh seeds.
        callbacks: callbacks besides the tracker.

    Raises:
        InputError: if the journal, or a checkpoint, can no longer be written.
    """
    done: set[Run] = set()
    while runs := _next_runs(plan, done):
        study = open_fresh_runs(plan.run, plan.space, runs)
        numbers, seeds = [number for number, _ in runs], len({each for _, each in runs})
        run_study(study, plan, f"running {_named(numbers)} again under {_count(seeds, 'fresh seed')}", callbacks)
        done.update(runs)


def _next_runs(plan: SearchPlan, done: Collection[Run]) -> list[Run]:
    """The runs of the race that come next; says before the first who is in it.

    Args:
        plan: plan of the search.
        done: runs that this race has done.
    """
    snapshot = load_snapshot(plan.run)
    race = snapshot.race
    runs = race.next_runs(plan.confirm, snapshot.baseline_number, done)
    if runs and not done and len(race.finalists) > 1:
        print_message(f"{_named(race.finalists)} differ by no more than chance explains: fresh seeds choose among them")
    return runs


def _named(numbers: Iterable[int]) -> str:
    return f"trials {', '.join(str(number) for number in dict.fromkeys(numbers))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
