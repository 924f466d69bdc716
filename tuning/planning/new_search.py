"""The plan of a new search, from its options."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution

from results.run_folder import RunFolder
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
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
from tuning.planning.data import check_data, data_uri, open_data, short_name
from tuning.planning.plan import SearchPlan, check_gpu_hours, make_plan
from tuning.study.first_trials import check_configurations, read_configurations, read_priors
from tuning.study.samplers import check_sampler
from tuning.study.seeds import ORDER_SEEDS, derive_seed
from tuning.study.space_check import load_space
from tuning.training_settings import chosen_settings


def new_plan(options: SearchOptions) -> SearchPlan:
    """The plan of a new search.

    1. Look up what the options name: search space, configurations to try first, earlier runs, machines.
    2. Open the data set; the embedded one is prepared first if it is missing.
    3. Build the network once on the data, with the baseline's settings, and look up the metric.
    4. Decide how many trials are trained together, and what each gets of the machines.
    5. Make the run folder; settings.json in it holds all of this.

    Raises:
        InputError: if something is wrong in step 1, before anything is written, or later in step 3; the message names
            all of it.
    """
    inputs = _look_up(options)
    data = open_data(options.data)
    baseline, metric = _try_on_data(inputs, data, options)
    placement, cohort = _divide(inputs, baseline, data, options)
    used = _used(options, inputs, data, metric, placement) | {"cohort": cohort}
    settings = _settings(options, inputs, data, baseline, metric) | recorded_options(options, used)
    run = RunFolder.create(inputs.run_path, settings, describe_environment())
    return make_plan(run, run.settings, inputs.space, placement, inputs.dashboard)


@dataclass(frozen=True)
class _Inputs:
    """The things that the options of a new search name.

    Attributes:
        run_path: run folder to make.
        chosen: training settings that `--preset`, `--set` and `--epochs` fix.
        space: the search space without the parameters that options fix.
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
    with problems:
        chosen, space, configurations = _searched(options)
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
    with problems:
        check_data(options.data)
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
    path = RunFolder.default_path(short_name(options.data)) if options.run is None else RunFolder.locate(options.run)
    RunFolder.check_available(path)
    check_outlives_job(path)
    return path


def _searched(options: SearchOptions) -> tuple[Mapping[str, Any], SearchSpace, Sequence[Mapping[str, Any]]]:
    """The training settings that are fixed, the space without them, and the configurations to be tried first.

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


def _try_on_data(inputs: _Inputs, data: PreparedData, options: SearchOptions) -> tuple[TrainingConfig, Metric]:
    """The baseline's training settings, and the metric that scores trials, both tried on the data.

    Raises:
        InputError: if something does not fit the data; the message names all of it.
    """
    problems = Problems()
    with problems:
        baseline = TrainingConfig.from_dict({**data.training_defaults, **inputs.chosen, **inputs.space.baseline})
        searched = inputs.space.parameters.get("embedding_init")
        for init in searched.choices if isinstance(searched, CategoricalDistribution) else [baseline.embedding_init]:
            build_model(replace(baseline, embedding_init=str(init)), data)
        check_cohort(options.cohort, baseline, data)
    with problems:
        metric = objective_metric(data, options.metric)
        same = {"data_fingerprint": data.fingerprint, "metric": metric.name, "fixed": baseline.to_dict()}
        read_priors(inputs.priors, same, inputs.space)
    problems.raise_all()
    return baseline, metric


def _used(
    options: SearchOptions, inputs: _Inputs, data: PreparedData, metric: Metric, placement: Placement
) -> dict[str, Any]:
    """What the options recorded as `Recorded.AS_USED` came to, all but `--cohort`."""
    return {
        "data": str(data.folder),
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
    options: SearchOptions, inputs: _Inputs, data: PreparedData, baseline: TrainingConfig, metric: Metric
) -> dict[str, Any]:
    """What settings.json says of a new search besides what its options came to."""
    fixed = {**baseline.to_dict(), "order_seed": derive_seed(options.seed, ORDER_SEEDS, 0)}
    return {
        "command": f"python -m tuning.search {shlex.join(without_url(options.arguments))}".strip(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "options": unchangeable_options(options),
        "most_at_once": options.concurrent,
        "space_definition": inputs.space.describe(),
        "space_conditions": {name: dict(conditions) for name, conditions in inputs.space.only_if.items()},
        "data_uri": data_uri(options.data),
        "data_fingerprint": data.fingerprint,
        "metric": metric.name,
        "data_name": data.name,
        "images": data.described_images,
        "metric_title": metric.title,
        "validation_questions": data.manifest["counts"]["validation"],
        "baseline": dict(inputs.space.baseline),
        "fixed": {
            name: value
            for name, value in fixed.items()
            if name != "seed" and (name not in inputs.space.parameters or name in inputs.space.only_if)
        },
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


def _divide(
    inputs: _Inputs, baseline: TrainingConfig, data: PreparedData, options: SearchOptions
) -> tuple[Placement, int]:
    """What each trial or cohort gets of the machines, and the width of cohorts.

    `--gpus-per-trial auto` gives a trial the share of a GPU that the largest one needs, and a cohort a whole GPU.
    """
    largest = largest_configuration(baseline, inputs.space.parameters)
    cohort = chosen_cohort(options.cohort, largest, data, inputs.placement, inputs.bounds["trials"], options.address)
    if options.gpus_per_trial != AUTO or not inputs.placement.gpus or cohort > 1:
        return inputs.placement, cohort
    share = measure_gpu_share(largest, data, options.address)
    return _place(replace(options, gpus_per_trial=share), inputs.machines), cohort
