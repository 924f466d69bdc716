"""What a search is to do: worked out of its options, or of what an earlier search left."""

import argparse
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from san_core.config import TrainingConfig
from san_core.data.prepare import READERS, prepare
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.evaluation import objective
from san_core.metrics import Metric, metric_called
from san_core.presets import preset
from san_core.training import build_model
from search_spaces import SearchSpace, SearchSpaceError, load
from tuning.engine import Limits, machine_cpus
from tuning.environment import describe_environment
from tuning.placement import Placement, place
from tuning.run_folder import RunFolder, write_json
from tuning.trial import Shared

DATA = Path("data")
"""Where prepared data sets are."""

EMBEDDED = "easy-vqa"
"""The data set that comes with its package and is prepared where it is missing."""

UNCHANGED = ("space", "metric", "seed", "confirm", "cpus_per_trial", "gpus_per_trial")
"""Options that a resumed search takes from its settings; given again they must be the same."""

REFUSED = ("set", "preset", "epochs", "run", "data")
"""Options that make no sense for a resumed search."""


@dataclass(frozen=True)
class Plan:
    """What a search is to do.

    Attributes:
        run: its folder, with the settings it was started with.
        space: what it searches.
        placement: what each trial gets.
        shared: what all trials share.
        limits: what bounds their running.
        trials: their number in the end.
        confirm: fresh seeds for best and baseline.
        seed: of sampler and trainings.
    """

    run: RunFolder
    space: SearchSpace
    placement: Placement
    shared: Shared
    limits: Limits
    trials: int
    confirm: int
    seed: int

    @property
    def epochs(self) -> int:
        """Of a trial that is not stopped."""
        return int(self.shared.fixed["epochs"])


def new_plan(options: argparse.Namespace) -> Plan:
    """The plan of a new search, its folder made.

    Raises:
        InputError: for anything that keeps it from being carried out.
    """
    space = _load_space(options.space)
    chosen = _chosen_settings(options, space)
    if options.metric:
        metric_called(options.metric)
    if options.trials.more:
        raise InputError(f"--trials {options.trials} adds to a search that is resumed; accepted here: a number")
    path = RunFolder.locate(options.run, Path(options.data).resolve().name)
    RunFolder.check_available(path)
    placement = _place(options.cpus_per_trial, options.gpus_per_trial, options.concurrent)
    data = _open_data(options.data)
    metric = objective(data, options.metric)
    config = TrainingConfig.from_dict({**data.training_defaults, **chosen, **space.baseline})
    build_model(config, data)  # settings that do not go with the data are told of now
    fixed = {name: value for name, value in config.to_dict().items() if name not in {*space.parameters, "seed"}}
    settings = _settings(options, space, fixed, data, placement, metric)
    run = RunFolder.create(path, settings, describe_environment(machine_cpus()))
    return _plan(options, run, settings, space, placement)


def resumed_plan(options: argparse.Namespace, given: Mapping[str, Any]) -> Plan:
    """The plan of a search that goes on; more trials are noted in its folder.

    Args:
        options: of this call.
        given: those that were not left at their defaults.

    Raises:
        InputError: if the folder holds no search, or what it searched on has changed.
    """
    run = RunFolder.open(RunFolder.locate(options.resume, ""), journal=False)
    settings = run.settings
    for name in REFUSED:
        if name in given:
            raise InputError(f"--{name} cannot be used with --resume: {run.path} goes on as it was started")
    for name in UNCHANGED:
        if name in given and given[name] != run.setting(name):
            option = name.replace("_", "-")
            raise InputError(f"--{option} of {run.path} is {run.setting(name)!r} and stays so, but got {given[name]!r}")
    space = _load_space(run.setting("space"))
    _check_unchanged(run, space)
    concurrent = options.concurrent or run.setting("concurrent")
    placement = _place(run.setting("cpus_per_trial"), run.setting("gpus_per_trial"), concurrent)
    settings["trials"] = options.trials.after(run.setting("trials")) if "trials" in given else run.setting("trials")
    if settings["trials"] != run.setting("trials"):
        write_json(run.settings_file, settings)
    return _plan(options, run, settings, space, placement)


def _check_unchanged(run: RunFolder, space: SearchSpace) -> None:
    """Refuses to mix trials of different spaces or data."""
    found, before = space.describe(), run.setting("space_definition")
    if differing := [name for name in {**found, **before} if found.get(name) != before.get(name)]:
        name = differing[0]
        raise InputError(
            f"search space {run.setting('space')!r} has changed since {run.path} was started: {name} is "
            f"{found.get(name, 'missing')}, but was {before.get(name, 'missing')}; start a new search"
        )
    data = PreparedData.open(Path(run.setting("data")))
    if data.fingerprint != run.setting("data_fingerprint"):
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but {run.path} ran on "
            f"{run.setting('data_fingerprint')}; prepare the data as they were, or start a new search"
        )


def _plan(
    options: argparse.Namespace, run: RunFolder, settings: Mapping[str, Any], space: SearchSpace, placement: Placement
) -> Plan:
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
        limits=Limits(placement.slots, options.max_failures, options.keep),
        trials=settings["trials"],
        confirm=settings["confirm"],
        seed=settings["seed"],
    )


def _place(cpus_per_trial: int | None, gpus_per_trial: float | None, concurrent: int | None) -> Placement:
    return place(
        machine_cpus=machine_cpus(),
        machine_gpus=torch.cuda.device_count(),
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        concurrent=concurrent,
    )


def _load_space(name: str) -> SearchSpace:
    try:
        space = load(name)
    except SearchSpaceError as error:
        raise InputError(str(error)) from error
    searchable = [field for field in TrainingConfig.field_names() if field not in {"epochs", "seed"}]
    if unknown := sorted(set(space.parameters) - set(searchable)):
        raise InputError(
            f"search space {name!r} searches {', '.join(unknown)}, which it cannot; accepted: {', '.join(searchable)}"
        )
    return space


def _chosen_settings(options: argparse.Namespace, space: SearchSpace) -> dict[str, Any]:
    """The training settings the user fixed, checked before anything is computed."""
    chosen: dict[str, Any] = preset(options.preset) if options.preset else {}
    for text in options.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set takes SETTING=VALUE, but got {text!r}")
        if name in space.parameters or name == "seed":
            raise InputError(f"--set cannot fix {name}: the search chooses it")
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


def _settings(
    options: argparse.Namespace,
    space: SearchSpace,
    fixed: dict[str, Any],
    data: PreparedData,
    placement: Placement,
    metric: Metric,
) -> dict[str, Any]:
    """What the run folder remembers of how the search was asked for."""
    return {
        "command": f"python -m tuning.search {shlex.join(sys.argv[1:])}".strip(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "data": str(data.folder),
        "data_name": data.name,
        "data_fingerprint": data.fingerprint,
        "metric": metric.name,
        "metric_title": metric.title,
        "validation_questions": data.manifest["counts"]["validation"],
        "space": options.space,
        "space_definition": space.describe(),
        "baseline": dict(space.baseline),
        "fixed": fixed,
        "trials": options.trials.count,
        "confirm": options.confirm,
        "seed": options.seed,
        "sampler": "tpe",
        "pruner": "halving",
        "concurrent": placement.slots,
        "cpus_per_trial": placement.cpus,
        "gpus_per_trial": placement.gpus,
    }
