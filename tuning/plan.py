"""What a search is to do: worked out of its options, or of what an earlier search left."""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from results.run_folder import SECONDS, RunFolder, is_own
from san_core.config import TrainingConfig
from san_core.data.preparation import prepare
from san_core.data.prepared import PreparedData
from san_core.data.readers import READERS
from san_core.errors import InputError
from san_core.evaluation import objective_metric
from san_core.metrics import get_metric
from san_core.models.presets import preset
from san_core.training import build_model
from search_spaces import SearchSpace
from tuning.execution.checkpoints import check_storage
from tuning.execution.environment import describe_environment
from tuning.execution.gpu_share import largest, measured_share
from tuning.execution.placement import Machine, Placement, place
from tuning.execution.ray_session import Limits, machines
from tuning.execution.worker import Shared
from tuning.monitoring.notifications import without_url
from tuning.monitoring.trackers import check_tracker
from tuning.options import AUTO, EMBEDDED, TRIALS, Amount
from tuning.study.first_trials import read_configurations, read_priors
from tuning.study.open_study import first_trials
from tuning.study.samplers import check_sampler
from tuning.study.spaces import load_space
from tuning.study.stop_rules import StopRules, since_best

DATA = Path("data")
"""Where prepared data sets are."""

BOUNDS = ("trials", "budget", "gpu_hours", "patience")
"""Settings that bound a search."""

CHANGEABLE = {
    *BOUNDS,
    "resume",
    "confirm",
    "concurrent",
    "address",
    "max_failures",
    "keep",
    "json",
    "no_dashboard",
    "dashboard_host",
    "dashboard_port",
    "track",
    "notify",
}
"""Options that a search may be given anew when it is resumed; the others stay as they were."""

ASIDE = ("run", "data", "arguments")
"""Options that are recorded in another way."""

RESOLVED = ("metric", "cpus_per_trial", "gpus_per_trial")
"""Options that are recorded as what came of them: the default of the data, or of the machine."""


@dataclass(frozen=True)
class Plan:
    """What a search is to do.

    Attributes:
        run: its folder, with the settings it was started with.
        space: what it searches.
        placement: what each trial gets.
        shared: what all trials share.
        limits: what bounds their running.
        rules: what ends the search.
        beforehand: gives the trials that go into a new journal first.
        confirm: fresh seeds for best and baseline.
        settings: those of the folder, with what a resumed search was given anew; `RunFolder.change_settings` notes it.
    """

    run: RunFolder
    space: SearchSpace
    placement: Placement
    shared: Shared
    limits: Limits
    rules: StopRules
    beforehand: Callable[[], Sequence[FrozenTrial]]
    confirm: int
    settings: Mapping[str, Any]


def new_plan(options: argparse.Namespace) -> Plan:
    """The plan of a new search, its folder made.

    Raises:
        InputError: for anything that keeps it from being carried out.
    """
    chosen = _chosen_settings(options)
    space = load_space(options.space)
    space = space.only(space.parameters.keys() - chosen.keys())
    if not space.parameters:
        raise InputError(f"--set and --preset fix everything that {options.space} searches: nothing is left to search")
    check_sampler(options.sampler, space.parameters)
    check_tracker(options.track)
    if options.metric:
        get_metric(options.metric)
    tried = read_configurations(Path(options.try_first), space) if options.try_first else []
    asked_for = _asked_for(options)
    priors = [RunFolder.open(Path(prior)) for prior in asked_for["prior"]]
    path = RunFolder.locate(options.run, Path(options.data).resolve().name)
    RunFolder.check_available(path)
    check_storage(options.storage)
    there = machines(options.address)
    placement = _place(options, there)
    data = _open_data(options.data)
    config = TrainingConfig.from_dict({**data.training_defaults, **chosen, **space.baseline})
    searched = space.parameters.get("embedding_init")
    for init in searched.choices if isinstance(searched, CategoricalDistribution) else [config.embedding_init]:
        build_model(replace(config, embedding_init=str(init)), data)  # what does not go with the data is told of now
    fixed = {name: value for name, value in config.to_dict().items() if name not in {*space.parameters, "seed"}}
    if options.gpus_per_trial == AUTO and placement.gpus:
        options.gpus_per_trial = measured_share(largest(config, space.parameters), data)
        placement = _place(options, there)
    _check_gpu_hours(asked_for["gpu_hours"], placement)
    settings = {
        **asked_for,
        **_searched_on(data, options.metric),
        "space_definition": space.describe(),
        "baseline": dict(space.baseline),
        "fixed": fixed,
        "try_first": tried,
        "concurrent": placement.slots,
        "cpus_per_trial": placement.cpus,
        "gpus_per_trial": placement.gpus,
    }
    read_priors(priors, settings, space)
    run = RunFolder.create(path, settings, describe_environment())
    return _plan(options, run, run.settings, space, placement)


def resumed_plan(options: argparse.Namespace, given: Mapping[str, Any]) -> Plan:
    """The plan of a search that goes on. Writes nothing.

    Args:
        options: of this call.
        given: those that were not left at their defaults.

    Raises:
        InputError: if the folder holds no search, or what it searched on has changed.
    """
    run = RunFolder.open(RunFolder.locate(options.resume, ""), journal=False)
    space = load_space(run.setting("space")).only(run.setting("space_definition"))
    data = _check_unchanged(run, space, given)
    settings = run.settings
    check_tracker(given.get("track") or settings.get("track"))
    if given.keys() & set(BOUNDS):
        settings |= _new_bounds(run, given)
    if "data" in given:
        settings["data"] = str(data.folder)
    settings |= {name: given[name] for name in ("confirm", "keep", "max_failures", "track") if name in given}
    options.cpus_per_trial, options.gpus_per_trial = run.setting("cpus_per_trial"), run.setting("gpus_per_trial")
    options.concurrent = options.concurrent or run.setting("concurrent")
    placement = _place(options, machines(options.address))
    _check_gpu_hours(settings["gpu_hours"], placement)
    return _plan(options, run, settings, space, placement)


def _check_gpu_hours(bound: float | None, placement: Placement) -> None:
    if bound is not None and not placement.gpus:
        raise InputError(f"--gpu-hours bounds trials that run on GPUs, but these have none; got {bound:g}")


def _check_unchanged(run: RunFolder, space: SearchSpace, given: Mapping[str, Any]) -> PreparedData:
    """Refuses to mix trials of different spaces, data, metrics or settings; returns the data."""
    searched = run.setting("data_fingerprint")
    data = _open_data(given.get("data") or run.setting("data"))
    if data.fingerprint != searched:
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but {run.path} ran on {searched}; "
            "give it the same data, prepared as they were, or start a new search"
        )
    recorded = {**run.setting("options"), **{name: run.setting(name) for name in RESOLVED}}
    for name in given.keys() - CHANGEABLE - {"data"}:
        before = recorded.get(name)
        if given[name] != before:
            option = {"try_first": "try"}.get(name, name.replace("_", "-"))
            raise InputError(
                f"--{option} cannot change when a search is resumed: {run.path} was started with {before!r}, "
                f"but got {given[name]!r}"
            )
    found, definition = space.describe(), run.setting("space_definition")
    if differing := [name for name, before in definition.items() if found.get(name) != before]:
        name = differing[0]
        raise InputError(
            f"search space {run.setting('space')!r} has changed since {run.path} was started: {name} is "
            f"{found.get(name, 'missing')}, but was {definition[name]}; start a new search"
        )
    return data


def _new_bounds(run: RunFolder, given: Mapping[str, Any]) -> dict[str, Any]:
    """What bounds a resumed search: what is given now, and before that only what does not end it at once.

    A search that was to have 24 trials and is given half an hour more has no use for the 24.
    """
    study = run.study() if run.journal.is_file() else None
    trials = list(filter(is_own, study.get_trials(deepcopy=False))) if study else []
    trained = sum(trial.user_attrs.get(SECONDS, 0.0) for trial in trials)
    used = {
        "trials": run.setting("trials") or len(trials),
        "budget": study.user_attrs.get(SECONDS, 0.0) if study else 0.0,
        "gpu_hours": trained * run.setting("gpus_per_trial") / 3600,
        "patience": since_best([trial for trial in trials if trial.state.is_finished()]),
    }
    amounts = {
        name: bound.after(used[name]) if isinstance(bound := given[name], Amount) else bound
        for name in BOUNDS
        if name in given
    }
    return {**dict.fromkeys(BOUNDS), **amounts}


def _plan(
    options: argparse.Namespace, run: RunFolder, settings: Mapping[str, Any], space: SearchSpace, placement: Placement
) -> Plan:
    baseline = space.baseline if settings["baseline_first"] else None
    return Plan(
        run=run,
        space=space,
        placement=placement,
        shared=Shared(
            data=settings["data"],
            metric=settings["metric"],
            fixed=settings["fixed"],
            cpus=placement.cpus,
            gpus=placement.gpus,
            signs=not options.no_dashboard,
        ),
        limits=Limits(placement.slots, settings["max_failures"], settings["keep"]),
        rules=StopRules(**{name: settings[name] for name in BOUNDS}, gpus=placement.gpus),
        beforehand=lambda: [
            *first_trials(baseline, settings["try_first"]),
            *read_priors([RunFolder.open(Path(prior)) for prior in settings["prior"]], settings, space),
        ],
        confirm=settings["confirm"],
        settings=settings,
    )


def _place(options: argparse.Namespace, there: Sequence[Machine]) -> Placement:
    return place(
        there,
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=None if options.gpus_per_trial == AUTO else options.gpus_per_trial,
        concurrent=options.concurrent,
    )


def _chosen_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The training settings the user fixed, checked before anything is computed. They are not searched."""
    chosen: dict[str, Any] = preset(options.preset) if options.preset else {}
    for text in options.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set takes SETTING=VALUE, but got {text!r}")
        if name == "seed":
            raise InputError("--set cannot fix seed: each trial has its own, which follows from --seed")
        chosen[name] = _parse_value(value)
    if options.epochs:
        chosen["epochs"] = options.epochs
    TrainingConfig.from_dict(chosen)
    return chosen


def _parse_value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _open_data(name: str) -> PreparedData:
    if name == EMBEDDED:
        return prepare(name, DATA / name)
    folder = DATA / name if name in READERS else Path(name)
    if name in READERS and not folder.is_dir():
        raise InputError(f"data set {name} is not prepared; first: python -m san_core.prepare {name} --root FOLDER")
    if not folder.is_dir():
        raise InputError(
            f"unknown data set {name!r}; accepted: {EMBEDDED}, a folder written by san_core.prepare, or the name of a "
            f"data set prepared in {DATA}/: {', '.join(READERS)}"
        )
    return PreparedData.open(folder)


def _asked_for(options: argparse.Namespace) -> dict[str, Any]:
    """What the run folder remembers of how the search was asked for."""
    bounds = {name: getattr(options, name) for name in BOUNDS}
    for name, bound in bounds.items():
        if isinstance(bound, Amount):
            if bound.more:
                option = name.replace("_", "-")
                raise InputError(f"--{option} {bound.text} adds to a search that is resumed; accepted here: without +")
            bounds[name] = bound.value
    if not any(bounds.values()):
        bounds["trials"] = TRIALS
    kept = ("sampler", "pruner", "baseline_first", "confirm", "seed", "storage", "max_failures", "keep", "track")
    return {
        "command": f"python -m tuning.search {shlex.join(without_url(options.arguments))}".strip(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "space": str(Path(options.space).resolve()) if options.space.endswith(".py") else options.space,
        "options": {name: value for name, value in vars(options).items() if name not in {*CHANGEABLE, *ASIDE}},
        "prior": [str(RunFolder.locate(prior, "")) for prior in options.prior],
        **bounds,
        **{name: getattr(options, name) for name in kept},
    }


def _searched_on(data: PreparedData, metric_name: str | None) -> dict[str, Any]:
    """What the run folder remembers of the data, and how answers to them are scored."""
    metric = objective_metric(data, metric_name)
    return {
        "data": str(data.folder),
        "data_name": data.name,
        "data_fingerprint": data.fingerprint,
        "metric": metric.name,
        "metric_title": metric.title,
        "validation_questions": data.manifest["counts"]["validation"],
    }
