"""The plan of a search: what it is to do, whether it is new or goes on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from results.run_folder import RunFolder
from san_core.errors import InputError
from search_spaces import SearchSpace
from tuning.execution.placement import Placement
from tuning.execution.trial_setup import Limits, TrialSetup, upper_ends
from tuning.monitoring.dashboard import Dashboard
from tuning.options.search_options import BOUNDS
from tuning.study.first_trials import first_trials, read_priors
from tuning.study.stop_rules import StopRules


@dataclass(frozen=True)
class SearchPlan:
    """What a search is to do.

    Attributes:
        run: its folder, with the settings it was started with.
        space: what it searches.
        placement: what each trial gets.
        setup: what all trials have in common.
        limits: how often a trial is tried again, and how many checkpoints are kept.
        rules: what ends the search.
        first_trials: makes the trials that go into a new journal first.
        confirm: number of fresh seeds for best and baseline.
        dashboard: where Ray's dashboard is served; None for none.
        settings: those of the folder, with the values that a resumed search was given anew;
            `RunFolder.change_settings` writes them.
    """

    run: RunFolder
    space: SearchSpace
    placement: Placement
    setup: TrialSetup
    limits: Limits
    rules: StopRules
    first_trials: Callable[[], Sequence[FrozenTrial]]
    confirm: int
    dashboard: Dashboard | None
    settings: Mapping[str, Any]

    @property
    def cohort(self) -> int:
        """Most trials of a cohort; 1 trains each on its own."""
        return self.setup.cohort


def make_plan(
    run: RunFolder,
    settings: Mapping[str, Any],
    space: SearchSpace,
    placement: Placement,
    dashboard: Dashboard | None,
) -> SearchPlan:
    """The plan that a run folder's settings describe.

    Args:
        run: the run folder.
        settings: what settings.json says, or is to say.
        space: what is searched.
        placement: what each trial gets.
        dashboard: where Ray's dashboard is served; None for none.
    """
    baseline = space.baseline if settings["baseline_first"] else None
    return SearchPlan(
        run=run,
        space=space,
        placement=placement,
        setup=TrialSetup(
            data=settings["data"],
            metric=settings["metric"],
            fixed=settings["fixed"],
            placement=placement,
            show_in_dashboard=dashboard is not None,
            cohort=settings["cohort"],
            largest=upper_ends(space.parameters),
        ),
        limits=Limits(settings["max_failures"], settings["keep"]),
        rules=StopRules(**{name: settings[name] for name in BOUNDS}, gpus=placement.gpus),
        first_trials=lambda: [
            *first_trials(baseline, settings["try_first"]),
            *read_priors([RunFolder.open(Path(prior)) for prior in settings["prior"]], settings, space),
        ],
        confirm=settings["confirm"],
        dashboard=dashboard,
        settings=settings,
    )


def check_gpu_hours(bound: float | None, placement: Placement) -> None:
    """Refuses GPU hours as a bound of trials that use no GPU: the search would never end.

    Raises:
        InputError: naming the bound.
    """
    if bound is not None and not placement.gpus:
        raise InputError(f"--gpu-hours bounds trials that run on GPUs, but these have none; got {bound:g}")
