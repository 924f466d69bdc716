"""The plan of a resumed search, from its run folder and the options that are given now."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution

from results.preparations import DATA_PARAMETER, PREPARATIONS, without_data
from results.report.facts import show_range
from results.run_folder import RunFolder
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.files import is_file, shown
from search_spaces import SearchSpace
from tuning.execution.gpu_share import largest_configuration
from tuning.execution.local_ray import check_local_ray
from tuning.execution.placement import Placement, describe_share, place_trials
from tuning.execution.ray_job import check_outlives_job
from tuning.execution.ray_session import machines
from tuning.monitoring.dashboard import dashboard_of
from tuning.monitoring.trackers import check_tracker
from tuning.options.bounds import resumed_bounds
from tuning.options.option import AUTO
from tuning.options.problems import Problems
from tuning.options.recorded import changed_options, replaced_options
from tuning.options.search_options import FROM_PYTHON, SearchOptions
from tuning.planning.cohort import check_cohort, chosen_cohort
from tuning.planning.data import moved_uris, open_searched_data
from tuning.planning.plan import SearchPlan, check_gpu_hours, make_plan
from tuning.planning.preparations import Data, first, largest, recorded_data, with_data
from tuning.planning.recorded_settings import check_settings
from tuning.planning.versions import check_versions
from tuning.study.space_check import load_space


def resumed_plan(options: SearchOptions) -> SearchPlan:
    """The plan of a resumed search, whose run `options.resume` names. Writes nothing.

    Raises:
        InputError: if the folder holds no search; or naming all that is wrong with the options, and all that has
            changed since the search was started.
    """
    run = RunFolder.open(RunFolder.locate(options.resume or ""), journal=False)
    check_settings(run)
    settings = run.settings
    problems = Problems()
    with problems:
        data = open_searched_data(run, moved := options.given_values.get("data", ()))
        settings |= {"data": str(first(data).folder), **recorded_data(data)}
        settings["data_uris"] = moved_uris(settings.get("data_uris", {}), moved)
    with problems:
        check_versions(run)
        check_outlives_job(run.path)
    with problems:
        _refuse_changes(options, run)
    with problems:
        space = _unchanged_space(run, options.objects.get("space"))
    with problems:
        settings |= {**replaced_options(options), **resumed_bounds(run, options)}
    with problems:
        check_tracker(settings.get("track"))
    with problems:
        dashboard = dashboard_of(options)
    if options.address is None or not problems.found:  # joining a cluster takes a while
        with problems:
            placement = _resumed_placement(options, run)
            check_gpu_hours(settings["gpu_hours"], placement)
    problems.raise_all()
    settings |= {"cpus_per_trial": placement.cpus, "gpus_per_trial": placement.gpus}
    settings["most_at_once"] = options.concurrent or settings.get("most_at_once", settings["concurrent"])
    settings["cohort"] = _resumed_cohort(options, settings, space, data, placement)
    return make_plan(run, settings, space, placement, dashboard)


def _refuse_changes(options: SearchOptions, run: RunFolder) -> None:
    """Checks that options which cannot change have the same values, so that all trials belong to one search.

    Raises:
        InputError: if a value differs; the message names each such option.
    """
    run.setting("options")
    if changes := [
        f"{flag} cannot change when a search is resumed: {run.shown} was started with {before!r}, but got {now!r}"
        + (f"; to learn from it in another space: {_with_prior(run)}" if flag == "--space" else "")
        for flag, before, now in changed_options(options, run.settings)
    ]:
        raise InputError("; ".join(changes))


def _unchanged_space(run: RunFolder, given: SearchSpace | None) -> SearchSpace:
    """The space that a run searches; as the run folder has it, if it was an object or a file that is no longer there.

    Raises:
        InputError: if a parameter is missing or has another range than when the search was started.
    """
    definition: Mapping[str, str] = run.setting("space_definition")
    name = str(run.setting("space"))
    if given is None and (name == FROM_PYTHON or (name.endswith(".py") and not is_file(Path(name)))):
        ranges = {key: _distribution(run, text) for key, text in definition.items()}
        return SearchSpace(ranges, run.setting("baseline"), run.settings.get("space_conditions", {}))
    space = load_space(given or name).only(definition)
    if DATA_PARAMETER in definition:
        space = with_data(space, list(run.setting(PREPARATIONS)))
    if changes := [
        f"{key} is {show_range(key, space.parameters[key]) if key in space.parameters else 'missing'}, "
        f"but was {show_range(key, _distribution(run, before))}"
        for key, before in definition.items()
        if space.describe().get(key) != before
    ]:
        raise InputError(
            f"search space {name!r} has changed since {run.shown} was started: {'; '.join(changes)}; "
            f"to learn from it in the new space: {_with_prior(run)}"
        )
    if json.dumps(space.only_if, sort_keys=True) != json.dumps(
        run.settings.get("space_conditions", {}), sort_keys=True
    ):
        raise InputError(f"search space {name!r} has other conditions (only_if) than when {run.shown} was started")
    return space


def _distribution(run: RunFolder, text: str) -> BaseDistribution:
    try:
        return json_to_distribution(text)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{shown(run.settings_file)} is damaged: 'space_definition' holds {text!r}") from error


def _with_prior(run: RunFolder) -> str:
    """The command that starts a new search which learns from a run."""
    return f"python -m tuning.search --prior {shlex.quote(run.shown)} --space SPACE"


def _resumed_cohort(
    options: SearchOptions, settings: Mapping[str, Any], space: SearchSpace, data: Data, placement: Placement
) -> int:
    """The width of cohorts: what it was, if `--cohort` is not given anew; 1 in runs from before there were cohorts.

    Raises:
        InputError: if a cohort of the width that is given anew cannot be trained.
    """
    if "cohort" not in options.given:
        return int(settings.get("cohort", 1))
    if settings["fixed"].get("order_seed") is None:
        if options.cohort in (AUTO, 1):
            return 1
        raise InputError(
            f"--cohort {options.cohort} cannot be given to a search that an earlier version started, since its "
            "trials do not share the order of batches; accepted here: auto or 1"
        )
    baseline = TrainingConfig.from_dict({**settings["fixed"], **without_data(space.baseline)})
    check_cohort(options.cohort, baseline, largest(data))
    config = largest_configuration(baseline, space.parameters)
    return chosen_cohort(options.cohort, config, largest(data), placement, settings["trials"], options.address)


def _resumed_placement(options: SearchOptions, run: RunFolder) -> Placement:
    """The cores and GPUs of each trial, as before; `--concurrent` may be given again.

    A run that was moved to a machine which has less than a trial had gets what suits that machine; a line says so.
    """
    available = machines(options.address, wait_for_gpu=run.setting("gpus_per_trial") > 0)
    cpus, gpus = run.setting("cpus_per_trial"), run.setting("gpus_per_trial")
    fits = any(cpus <= machine.cpus and gpus <= machine.gpus for machine in available)
    placement = place_trials(
        available,
        cpus_per_trial=cpus if fits else None,
        gpus_per_trial=gpus if fits else None,
        concurrent=options.concurrent or (run.setting("concurrent") if fits else None),
        heed_memory=options.concurrent is None,
    )
    if not fits:
        print_message(
            f"each trial had {describe_share(cpus, gpus)}, but no machine here has as much; it gets "
            f"{describe_share(placement.cpus, placement.gpus)} now, and scores may differ by rounding"
        )
    if options.address is None:
        check_local_ray(placement.max_concurrent, dashboard=not options.no_dashboard)
    return placement
