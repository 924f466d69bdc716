"""The plan of a new search, from its options."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution

from results.preparations import ONLY, without_data
from results.run_folder import RunFolder
from san_core.cohort.batches import pass_steps
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.evaluation import objective_metric
from san_core.metrics import Metric, get_metric
from san_core.training import build_model
from search_spaces import SearchSpace
from tuning.execution.checkpoints import check_storage
from tuning.execution.environment import describe_environment
from tuning.execution.gpu_share import largest_configuration, measure_gpu_share
from tuning.execution.local_ray import check_local_ray
from tuning.execution.placement import Machine, Placement, place_trials
from tuning.execution.ray_job import check_outlives_job
from tuning.execution.ray_session import machines
from tuning.monitoring.dashboard import Dashboard, dashboard_of
from tuning.monitoring.notifications import without_url
from tuning.monitoring.trackers import check_tracker
from tuning.options.bounds import Bounds, new_bounds
from tuning.options.option import AUTO
from tuning.options.problems import Problems
from tuning.options.recorded import recorded_options, unchangeable_options
from tuning.options.search_options import SearchOptions
from tuning.planning.cohort import check_cohort, chosen_cohort
from tuning.planning.data import data_uris, name_data, open_data, short_name
from tuning.planning.folds import chosen_folds, fold_questions
from tuning.planning.plan import SearchPlan, check_gpu_hours, make_plan
from tuning.planning.preparations import Data, first, largest, recorded_data, with_data
from tuning.planning.reports import with_reports
from tuning.study.first_trials import check_configurations, read_configurations, read_priors
from tuning.study.lengths import first_rung
from tuning.study.samplers import check_sampler
from tuning.study.seeds import ORDER_SEEDS, derive_seed
from tuning.study.space_check import load_space
from tuning.training_settings import chosen_settings, with_defaults


def new_plan(options: SearchOptions) -> SearchPlan:
    """The plan of a new search.

    1. Look up what the options name: search space, configurations to try first, earlier runs, machines.
    2. Open the data set; the embedded one is prepared first if it is missing.
    3. Build the network once on each data set, with the baseline's settings, and look up the metric.
    4. Decide how many trials are trained together, and what each gets of the machines.
    5. Make the run folder; settings.json in it holds all of this.

    Raises:
        InputError: if something is wrong in step 1, before anything is written, or later in step 3; the message names
            all of it.
    """
    inputs = _look_up(options)
    data = open_data(options.data)
    folds = chosen_folds(options.folds, first(data))
    baseline, metric = _try_on_data(inputs, data, options)
    placement, cohort = _divide(inputs, baseline, data, options)
    used = _used(options, inputs, data, metric, placement) | {"cohort": cohort, "folds": folds}
    settings = _settings(options, inputs, data, baseline, metric) | recorded_options(options, used)
    questions = fold_questions(first(data), folds, settings["fixed"]["order_seed"])
    settings |= {"fold_questions": questions, "validation_questions": sum(questions)}
    run = RunFolder.create(inputs.run_path, settings, describe_environment())
    return make_plan(run, run.settings, inputs.space, placement, inputs.dashboard)


@dataclass(frozen=True)
class _Inputs:
    """The things that the options of a new search name.

    Attributes:
        run_path: run folder to make.
        chosen: training settings that `--preset`, `--set` and `--epochs` fix.
        space: the search space without the parameters that options fix; with that of several `--data`.
        configurations: configurations to try first.
        priors: earlier runs to learn from.
        bounds: bounds of the search.
        machines: machines that trials can be placed on.
        placement: cores and GPUs of each trial; the share of a GPU is not yet measured with `--gpus-per-trial auto`.
        dashboard: address to serve Ray's dashboard at; None for no dashboard.
    """

    run_path: Path
    chosen: Mapping[str, Any]
    space: SearchSpace
    configurations: Sequence[Mapping[str, Any]]
    priors: Sequence[RunFolder]
    bounds: Bounds
    machines: Sequence[Machine]
    placement: Placement
    dashboard: Dashboard | None


def _look_up(options: SearchOptions) -> _Inputs:
    """Looks up what the options name, and checks all that can be checked without the data.

    Writes nothing, except that it makes the folder `--storage` if nothing else is wrong.

    Raises:
        InputError: if options are wrong; the message names all that is wrong.
    """
    problems = Problems()
    names = [ONLY]
    with problems:
        names = list(name_data(options.data))
    with problems:
        chosen, space, configurations = _searched(options, names)
    with problems:
        check_tracker(options.track)
    with problems:
        dashboard = dashboard_of(options)
    if options.metric:
        with problems:
            get_metric(options.metric)
    with problems:
        bounds = new_bounds(options)
    priors: list[RunFolder] = []
    for name in options.prior:
        with problems:
            priors.append(RunFolder.open(RunFolder.locate(name)))
    with problems:
        path = _available_path(options)
    if options.address is None or not problems.found:  # joining a cluster takes a while
        with problems:
            available = machines(options.address, wait_for_gpu=bool(options.gpus_per_trial))
            placement = _place(options, available)
            check_gpu_hours(options.gpu_hours.value if options.gpu_hours else None, placement)
    if not problems.found:
        with problems:
            check_storage(options.storage)  # last, since it makes the folder
    problems.raise_all()
    return _Inputs(path, chosen, space, configurations, priors, bounds, available, placement, dashboard)


def _available_path(options: SearchOptions) -> Path:
    """The run folder to make.

    Raises:
        InputError: if it exists, or would not outlive the Ray job that this program is.
    """
    name = short_name(options.data[0])
    path = RunFolder.default_path(name) if options.run is None else RunFolder.locate(options.run)
    RunFolder.check_available(path)
    check_outlives_job(path)
    return path


def _searched(
    options: SearchOptions, names: Sequence[str]
) -> tuple[Mapping[str, Any], SearchSpace, Sequence[Mapping[str, Any]]]:
    """The training settings that are fixed, the space without them, and the configurations to be tried first.

    Args:
        options: of the search.
        names: what the data of `--data` are called.

    Raises:
        InputError: if settings, space, sampler or configurations are wrong; the message names all that is wrong with
            the first two, or with the last two.
    """
    problems = Problems()
    with problems:
        chosen = chosen_settings(options.preset, options.set, options.epochs)
    with problems:
        space = load_space(options.objects.get("space", options.space))
    problems.raise_all()
    space = space.only(space.parameters.keys() - chosen.keys())
    space = with_data(space, names)
    if not space.parameters:
        raise InputError(f"--set and --preset fix everything that {options.space} searches: nothing is left to search")
    configurations: Sequence[Mapping[str, Any]] = []
    with problems:
        check_sampler(options.sampler, space.parameters)
    if options.try_first:
        given = options.objects.get("try_first")
        with problems:
            configurations = (
                read_configurations(Path(options.try_first), space)
                if given is None
                else check_configurations(given, space, "try_first")
            )
    problems.raise_all()
    return chosen, space, configurations


def _try_on_data(inputs: _Inputs, data: Data, options: SearchOptions) -> tuple[TrainingConfig, Metric]:
    """The baseline's training settings, and the metric that scores trials, both tried on the data.

    Raises:
        InputError: if something does not fit the data; the message names all of it.
    """
    problems = Problems()
    with problems:
        settings = with_defaults(first(data).training_defaults, inputs.chosen) | without_data(inputs.space.baseline)
        baseline = with_reports(
            options.report_every, TrainingConfig.from_dict(settings), first(data), inputs.space.parameters
        )
        searched = inputs.space.parameters.get("embedding_init")
        for init in searched.choices if isinstance(searched, CategoricalDistribution) else [baseline.embedding_init]:
            for each in data.values():
                build_model(replace(baseline, embedding_init=str(init)), each)
        check_cohort(options.cohort, baseline, largest(data))
    with problems:
        metric = objective_metric(first(data), options.metric)
        same = {"data_fingerprint": first(data).fingerprint, "metric": metric.name, "fixed": baseline.to_dict()}
        read_priors(inputs.priors, {**same, **recorded_data(data)}, inputs.space)
    problems.raise_all()
    return baseline, metric


def _used(options: SearchOptions, inputs: _Inputs, data: Data, metric: Metric, placement: Placement) -> dict[str, Any]:
    """What the options recorded as `Recorded.AS_USED` came to, all but `--cohort`."""
    return {
        "data": str(first(data).folder),
        "space": str(Path(options.space).resolve()) if options.space.endswith(".py") else options.space,
        "metric": metric.name,
        "try_first": inputs.configurations,
        "prior": [str(run.path) for run in inputs.priors],
        **inputs.bounds,
        "concurrent": placement.max_concurrent,
        "cpus_per_trial": placement.cpus,
        "gpus_per_trial": placement.gpus,
    }


def _settings(
    options: SearchOptions, inputs: _Inputs, data: Data, baseline: TrainingConfig, metric: Metric
) -> dict[str, Any]:
    """What settings.json says of a new search besides what its options came to."""
    fixed = {**baseline.to_dict(), "order_seed": derive_seed(options.seed, ORDER_SEEDS, 0)}
    of_baseline = first(data)
    return {
        "command": f"python -m tuning.search {shlex.join(without_url(options.arguments))}".strip(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "options": unchangeable_options(options),
        "most_at_once": options.concurrent,
        "space_definition": inputs.space.describe(),
        "space_conditions": {name: dict(conditions) for name, conditions in inputs.space.only_if.items()},
        "data_uris": data_uris(options.data, data),
        "data_fingerprint": of_baseline.fingerprint,
        "metric": metric.name,
        "data_name": of_baseline.name,
        "images": of_baseline.described_images,
        "metric_title": metric.title,
        "first_rung": first_rung(
            ceil(pass_steps(of_baseline.manifest["counts"]["train"], baseline.batch_size) / baseline.epochs_per_pass),
            baseline.epochs,
        ),
        "baseline": dict(inputs.space.baseline),
        "fixed": {
            name: value
            for name, value in fixed.items()
            if name != "seed" and (name not in inputs.space.parameters or name in inputs.space.only_if)
        },
        **recorded_data(data),
    }


def _place(options: SearchOptions, available: Sequence[Machine]) -> Placement:
    share = options.gpus_per_trial
    placement = place_trials(
        available,
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=None if isinstance(share, str) else share,
        concurrent=options.concurrent,
        heed_memory=options.concurrent is None,
    )
    if options.address is None:
        check_local_ray(placement.max_concurrent, dashboard=not options.no_dashboard)
    return placement


def _divide(inputs: _Inputs, baseline: TrainingConfig, data: Data, options: SearchOptions) -> tuple[Placement, int]:
    """What each trial or cohort gets of the machines, and the width of cohorts.

    `--gpus-per-trial auto` gives a trial the share of a GPU that the largest one needs, and a cohort a whole GPU.
    """
    config, of_largest = largest_configuration(baseline, inputs.space.parameters), largest(data)
    trials, address = inputs.bounds["trials"], options.address
    cohort = chosen_cohort(options.cohort, config, of_largest, inputs.placement, trials, address)
    if options.gpus_per_trial != AUTO or not inputs.placement.gpus or cohort > 1:
        return inputs.placement, cohort
    share = measure_gpu_share(config, of_largest, address)
    return _place(replace(options, gpus_per_trial=share), inputs.machines), cohort
