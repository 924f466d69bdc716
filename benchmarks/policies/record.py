"""`python -m benchmarks.policies record`: trains configurations of a search space under several seeds."""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import optuna

from benchmarks.data import open_data
from benchmarks.policies.processes import results_as_done
from benchmarks.policies.recorded_runs import RecordedRun, add_run, begin_file
from results.clock import Clock
from results.journal import warnings_only
from san_core.command_line import CommandLine, number, path, print_message
from san_core.config import TrainingConfig, without_effect
from san_core.data.prepared import PreparedData
from san_core.evaluation import objective_metric
from san_core.hardware import one_thread
from san_core.machine_limits import usable_cpus
from san_core.training import EpochResult, train_fn
from search_spaces import SearchSpace
from tuning.study.first_trials import first_trials
from tuning.study.lengths import Lengths, first_rung
from tuning.study.samplers import make_sampler
from tuning.study.seeds import CONFIRMATION_SEEDS, SEARCH_SEEDS, derive_seed
from tuning.study.space_check import load_space
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study
from tuning.study.trial_source import TrialSource
from tuning.training_settings import chosen_settings


@dataclass(frozen=True)
class Task:
    """A run that is to be trained.

    Attributes:
        data: folder of the prepared data set.
        configuration, seed, params: see `RecordedRun`.
        settings: all training settings, with the seed.
    """

    data: Path
    configuration: int
    seed: int
    params: Mapping[str, Any]
    settings: Mapping[str, Any]


def draw_configurations(
    space: SearchSpace, fixed: Mapping[str, Any], seed: int, configurations: int
) -> list[dict[str, Any]]:
    """The parameters of the first trials of a search with the random sampler; the baseline is the first.

    Args:
        space: search space.
        fixed: training settings of whatever is not searched.
        seed: of the search.
        configurations: how many; fewer if the space has fewer.
    """
    source = TrialSource(
        space.parameters,
        seed_of=lambda trial: derive_seed(seed, SEARCH_SEEDS, trial.number),
        sampler_of=lambda trial_number, _: make_sampler("random", seed, trial_number, space.parameters),
        has_meaning=space.has_meaning,
        without_effect=lambda params: without_effect({**fixed, **params}),
    )
    with warnings_only():
        in_memory = optuna.create_study(direction="maximize")
        in_memory.add_trials(first_trials(space.baseline, []))
        study = Study(in_memory, source, rules=StopRules(trials=configurations), lengths=Lengths(1), clock=Clock())
        found = []
        while (live := study.ask()) is not None:
            found.append(live.trial.params)
    return found


def train(task: Task) -> RecordedRun:
    """Trains a run to its end, or until it diverges, on one thread."""
    results: list[EpochResult] = []

    def keep(result: EpochResult) -> bool:
        results.append(result)
        return True

    with one_thread(when=True):
        train_fn(TrainingConfig.from_dict(task.settings), _opened(task.data), keep)
    return RecordedRun(
        configuration=task.configuration,
        seed=task.seed,
        params=task.params,
        training_seed=task.settings["seed"],
        scores=[result.score or 0.0 for result in results],
        by_question=[result.by_question for result in results],
        seconds=round(sum(result.seconds for result in results), 3),
        diverged=results[-1].diverged,
    )


_opened = cache(PreparedData.open)


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains each configuration under each seed, and appends each run to a file as soon as it is finished."""
    options = _parse(arguments)
    chosen = chosen_settings(None, options.set, options.epochs)
    space = load_space(options.space)
    space = space.only(space.parameters.keys() - chosen.keys())
    data = open_data(options.data)
    baseline = TrainingConfig.from_dict({**data.training_defaults, **chosen, **space.baseline})
    fixed = {name: value for name, value in baseline.to_dict().items() if name not in ("seed", "order_seed")}
    runs = begin_file(options.save, _head(options, space, data, baseline, fixed))
    done = {(run.configuration, run.seed) for run in runs}
    configurations = draw_configurations(space, fixed, options.seed, options.configurations)
    tasks = [
        Task(data.folder, configuration, seed, params, {**fixed, **params, **_seeds(options.seed, seed)})
        for seed in range(options.seeds)  # outermost: if it is interrupted, all configurations have about as many runs
        for configuration, params in enumerate(configurations)
        if (configuration, seed) not in done
    ]
    _record(tasks, options)
    return 0


def _seeds(study_seed: int, seed: int) -> dict[str, int]:
    """The seeds of a run, as a fresh seed of a search sets them: that of the weights and that of the batches' order."""
    training_seed = derive_seed(study_seed, CONFIRMATION_SEEDS, seed)
    return {"seed": training_seed, "order_seed": training_seed}


def _head(
    options: argparse.Namespace,
    space: SearchSpace,
    data: PreparedData,
    baseline: TrainingConfig,
    fixed: Mapping[str, Any],
) -> dict[str, Any]:
    """What all runs have in common."""
    counts = data.manifest["counts"]
    return {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "metric": objective_metric(data).name,
        "questions": {name: counts[name] for name in ("train", "validation")},
        "space": space.describe(),
        "settings": fixed,
        "seed": options.seed,
        "epochs": baseline.epochs,
        "first_rung": first_rung(ceil(counts["train"] / baseline.batch_size), baseline.epochs),
    }


def _record(tasks: Sequence[Task], options: argparse.Namespace) -> None:
    """Trains runs and records them; says after each how long the others will take."""
    began = time.monotonic()
    print_message(f"{len(tasks)} runs to train with {options.processes} processes")
    with results_as_done(train, tasks, options.processes) as trained:
        for count, run in enumerate(trained, start=1):
            add_run(options.save, run)
            left = (time.monotonic() - began) / count * (len(tasks) - count)
            print_message(
                f"{count} of {len(tasks)}: configuration {run.configuration}, seed {run.seed}: "
                f"{run.diverged or f'best epoch {max(run.scores):.2%}'}, {run.seconds:.0f} s; {left / 60:.0f} min left"
            )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandLine(
        "benchmarks.policies record",
        "Trains configurations of a search space, drawn at random, under several seeds, and records their curves. "
        "The same command goes on after an interruption, and with more configurations or seeds.",
    )
    add, at_least_1 = parser.add_argument, number(int, at_least=1)
    add("--data", type=path, default=Path("data/daquar-reduced"), metavar="FOLDER", help="prepared data")
    add("--space", default="daquar", help="search space: a name, or the path of a Python file")
    add("--set", action="append", default=[], metavar="SETTING=VALUE", help="fix a training setting; may be repeated")
    add("--epochs", type=at_least_1, help="of each run (default: that of the data set)")
    add("--configurations", type=at_least_1, default=40, metavar="N", help="the baseline is the first of them")
    add("--seeds", type=at_least_1, default=8, metavar="N", help="that each configuration is trained under")
    add("--seed", type=number(int, at_least=0), default=0, help="that configurations and seeds follow from")
    add("--processes", type=at_least_1, default=usable_cpus(), metavar="N", help="that train, with one thread each")
    add("--save", type=path, required=True, metavar="FILE", help="file to append the runs to")
    return parser.parse_args(arguments)
