"""The plan of a search, new or resumed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from results.preparations import preparations
from results.run_folder import RunFolder
from san_core.command_line import print_message
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
    """Everything that a search needs to run.

    Attributes:
        run: run folder, with the settings that the search was started with.
        space: search space.
        placement: cores and GPUs of each trial.
        setup: settings that all trials have in common.
        limits: limits that trials run under.
        rules: rules that end the search.
        first_trials: function that returns the first trials of a new journal.
        confirm: number of fresh seeds for best and baseline.
        dashboard: address to serve Ray's dashboard at; None for no dashboard.
        settings: settings of the run folder, with the values that were given when it was resumed;
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
        settings: content of settings.json, which may not be written yet.
        space: search space.
        placement: cores and GPUs of each trial.
        dashboard: address to serve Ray's dashboard at; None for no dashboard.
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
            most_at_once=settings.get("most_at_once", settings["concurrent"]),
            folds=settings.get("folds", 1),
            largest=upper_ends(space.parameters),
            preparations=preparations(settings),
            data_uris=settings.get("data_uris", {}),
        ),
        limits=Limits(settings["max_failures"], settings["keep"]),
        rules=StopRules(**{name: settings[name] for name in BOUNDS}, gpus=placement.gpus),
        first_trials=lambda: [
            *first_trials(baseline, settings["try_first"]),
            *read_priors([RunFolder.open(Path(prior)) for prior in settings["prior"]], settings, space, print_message),
        ],
        confirm=settings["confirm"],
        dashboard=dashboard,
        settings=settings,
    )


def check_gpu_hours(bound: float | None, placement: Placement) -> None:
    """Checks that trials use GPUs if GPU hours bound the search, which would otherwise never end.

    Raises:
        InputError: if they use none; the message names the bound.
    """
    if bound is not None and not placement.gpus:
        raise InputError(f"--gpu-hours bounds trials that run on GPUs, but these have none; got {bound:g}")
