"""Trains configurations under several seeds on all but the held-out split, and then tests them, in tasks of Ray."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from results.ranking import best_trial, can_be_best
from results.run_folder import RunFolder
from results.snapshot import best_epoch
from san_core.checkpoint import save_model
from san_core.cohort.network import SHARED_FIELDS
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.evaluation import (
    Score,
    evaluate,
    predict_split,
    usable_metrics,
    write_official_results,
    write_predictions,
)
from san_core.hardware import best_device
from san_core.models.san import SAN
from san_core.shared_training import SharedTraining, smallest_width
from san_core.training import EpochResult, build_model, train_fn
from tuning.execution.placement import fitting_in_memory
from tuning.execution.ray_session import machines, ray_session
from tuning.execution.trial_setup import STEP_SIZES
from tuning.execution.tune_errors import describe_error, explain_errors, find_low_memory
from tuning.study.seeds import RETRAINING_SEEDS, derive_seed
from tuning.training_settings import training_settings

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Job:
    """One training: the configuration of a trial, under one seed, for a number of epochs.

    Attributes:
        name: name of the configuration: `best`, `trial-N` or `baseline`.
        trial: number of the trial in the search.
        config: training settings. `config.epochs` is that of the search, since learning rate schedules depend on it.
        epochs: number of epochs after which the training stops.
    """

    name: str
    trial: int
    config: TrainingConfig
    epochs: int


@dataclass(frozen=True)
class Outcome:
    """The result of a job: every epoch of its training, and its scores on the held-out split."""

    job: Job
    curve: Sequence[EpochResult]
    scores: Sequence[Score]


def held_out(data: PreparedData) -> str:
    """The split that scores are measured on: test, or validation for data without answered test questions."""
    return "test" if "test" in data.splits else "validation"


def trained_on(data: PreparedData) -> tuple[str, ...]:
    """The splits that are trained on."""
    return ("train", "validation") if held_out(data) == "test" else ("train",)


def chosen_trial(run: RunFolder, wanted: int | None) -> FrozenTrial:
    """The trial to retrain: the one of the number `wanted`, or the best one for None.

    Raises:
        InputError: if there is no such trial, or it finished no epoch.
    """
    study = run.study()
    if wanted is None:
        best = best_trial(study.get_trials(deepcopy=False))
        if best is None:
            raise InputError(f"no trial of {run.shown} is complete, so there is no best one; choose one with --trial")
        return best
    if not 0 <= wanted < len(study.trials):
        raise InputError(f"trial {wanted} does not exist in {run.shown}; accepted: 0 to {len(study.trials) - 1}")
    trial = study.trials[wanted]
    if not trial.intermediate_values:
        raise InputError(f"trial {wanted} of {run.shown} finished no epoch, so there is no length to retrain it for")
    return trial


def plan_jobs(run: RunFolder, name: str, trial: FrozenTrial, seeds: int) -> list[Job]:
    """The trainings of a trial's configuration and of the baseline under each seed.

    Each is trained for as many epochs as gave it its best validation score in the search. A baseline that did not
    finish in the search is left out, since it is not known how long to train it.

    Args:
        run: the search.
        name: name of the trial's configuration.
        trial: trial of the search.
        seeds: number of seeds.
    """
    settings, seed, number = run.settings, run.setting("seed"), run.baseline_number
    chosen = {"baseline" if trial.number == number else name: trial}
    if number is not None and number != trial.number:
        baseline = run.study().trials[number]
        if can_be_best(baseline):
            chosen["baseline"] = baseline
        else:
            print_message("the baseline is not trained beside it: it did not finish in the search, or diverged")
    return [
        Job(
            name=label,
            trial=source.number,
            config=TrainingConfig.from_dict(
                training_settings(settings, source, seed=derive_seed(seed, RETRAINING_SEEDS, repeat))
            ),
            epochs=best_epoch(source),
        )
        for repeat in range(seeds)
        for label, source in chosen.items()
    ]


def run_jobs(
    jobs: Sequence[Job], data: PreparedData, run: RunFolder, out: Path, before_testing: Callable[[], object]
) -> list[Outcome]:
    """Trains every job's network; when all are trained, tests each.

    Args:
        jobs: the trainings.
        data: the data set.
        run: the search; its settings say how many cores and GPUs each training gets.
        out: folder that the first job's network and its predictions are written to.
        before_testing: function called once, after the last network is trained and before the first one is tested.

    Raises:
        InputError: if a training or a test fails.
    """
    threads, folder = run.setting("cpus_per_trial"), str(data.folder)
    available = machines(None)
    cores = max(machine.cpus for machine in available)
    if not ray.is_initialized():  # Ray is told how many cores there are
        cores = max(cores, threads)
    at_once = fitting_in_memory(run.setting("concurrent"), available[0].memory)
    # Asking for more cores than threads keeps no more trainings at once than the search had trials, or memory allows.
    # Rounded up, because Ray takes no fraction of a number above 1.
    share = {
        "num_cpus": min(cores, max(threads, math.ceil(cores / at_once))),
        "num_gpus": min(run.setting("gpus_per_trial"), max(machine.gpus for machine in available)),
        "max_retries": 0,
    }
    train: Any = ray.remote(**share)(_train)  # Ray types only tasks that return one thing
    test = ray.remote(**share)(_test)
    with ray_session(run.retrain_log, cpus=cores), explain_errors(run.retrain_log, "nothing was written"):
        trained: dict[Job, tuple[Any, Any]] = {}
        for group in _groups(jobs, run.settings.get("cohort", 1)):
            settings = [(job.config.to_dict(), job.epochs) for job in group]
            references = train.options(num_returns=2 * len(group)).remote(settings, folder, threads)
            trained |= dict(zip(group, zip(references[::2], references[1::2], strict=True), strict=True))
        curves = _gather([trained[job][0] for job in jobs], jobs, "trained", _describe_training)
        before_testing()
        save_to = [str(out.resolve()), *[None] * (len(jobs) - 1)]
        tested = [
            test.remote(job.config.to_dict(), job.epochs, folder, threads, trained[job][1], place)
            for job, place in zip(jobs, save_to, strict=True)
        ]
        scores = _gather(tested, jobs, "tested", lambda scores: f"{scores[0].metric} {scores[0].mean:.2%}")
    return [Outcome(*parts) for parts in zip(jobs, curves, scores, strict=True)]


def _gather(
    references: Sequence["ray.ObjectRef[Any]"], jobs: Sequence[Job], done: str, describe: Callable[[Any], str]
) -> list[Any]:
    """The results of the jobs' tasks; prints a line for each that finishes.

    Raises:
        InputError: if a task failed.
    """
    results: dict[int, Any] = {}
    pending = {reference: index for index, reference in enumerate(references)}
    while pending:
        ready, _ = ray.wait(list(pending))
        index = pending.pop(ready[0])
        job = jobs[index]
        try:
            results[index] = ray.get(ready[0])
            found = describe(results[index])
        except (ray.exceptions.RayError, InputError) as error:
            reason = describe_error(error) if find_low_memory(error) else str(error).strip().splitlines()[-1]
            raise InputError(f"trial {job.trial} under seed {job.config.seed} was not {done}: {reason}") from error
        print_message(f"{len(results)} of {len(jobs)} {done}: {job.name}, seed {job.config.seed}, {found}")
    return [results[index] for index in range(len(jobs))]


def _describe_training(curve: Sequence[EpochResult]) -> str:
    """The last loss.

    Raises:
        InputError: if the training diverged.
    """
    last = curve[-1]
    if last.diverged:
        raise InputError(f"it diverged in epoch {last.epoch}: {last.diverged}")
    return f"loss {last.loss:.4f}"


def _groups(jobs: Sequence[Job], width: int) -> list[list[Job]]:
    """The jobs that are trained by one step: up to `width` under the same seed, since they share the batches' order."""
    kinds: dict[Hashable, list[Job]] = {}
    for job in jobs:
        kind = tuple(getattr(job.config, name) for name in SHARED_FIELDS)
        kinds.setdefault(kind, []).append(job)
    return [group[start : start + width] for group in kinds.values() for start in range(0, len(group), width)]


def _train(settings: Sequence[tuple[Mapping[str, Any], int]], data_folder: str, threads: int) -> list[Any]:
    """Trainings on everything but the held-out split: of each its epochs and the network's weights, in turn."""
    torch.set_num_threads(threads)
    data = PreparedData.open(Path(data_folder))
    plans = [(TrainingConfig.from_dict(values), epochs) for values, epochs in settings]
    if len(plans) > 1:
        return _train_together(plans, data)
    ((config, epochs),) = plans
    curve: list[EpochResult] = []

    def report(result: EpochResult) -> bool:
        curve.append(result)
        return result.epoch < epochs

    model = train_fn(config, data, report, train_on=trained_on(data), score_on=None)
    return [curve, _on_cpu(model.state_dict())]


def _train_together(plans: Sequence[tuple[TrainingConfig, int]], data: PreparedData) -> list[Any]:
    """The same by one step."""
    first, _ = plans[0]
    largest = replace(first, **{name: max(getattr(config, name) for config, _ in plans) for name in STEP_SIZES})
    shared = SharedTraining(largest, smallest_width(len(plans)), data, train_on=trained_on(data), score_on=None)
    members = [shared.new_member(config) for config, _ in plans]
    curves: list[list[EpochResult]] = [[] for _ in plans]
    while left := [
        index for index, (_, epochs) in enumerate(plans) if len(curves[index]) < epochs and not _diverged(curves[index])
    ]:
        for index, result in zip(left, shared.train_epoch([members[index] for index in left]), strict=True):
            curves[index].append(result)
    states = [_on_cpu(shared.state_dict(member)["model"]) for member in members]
    return [part for pair in zip(curves, states, strict=True) for part in pair]


def _diverged(curve: Sequence[EpochResult]) -> bool:
    return bool(curve) and bool(curve[-1].diverged)


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.items()}


def _test(
    config: Mapping[str, Any], epochs: int, data_folder: str, threads: int, weights: Weights, save_to: str | None
) -> list[Score]:
    """A trained network's scores on the held-out split."""
    torch.set_num_threads(threads)
    settings, data = TrainingConfig.from_dict(config), PreparedData.open(Path(data_folder))
    model = build_model(settings, data)
    model.load_state_dict(weights)
    model.to(best_device())
    split = held_out(data)
    predictions, questions = predict_split(model, data, data.split(split), settings.precision), data.questions_of(split)
    metrics, _ = usable_metrics(data)
    scores = evaluate(predictions, questions, metrics)
    if save_to is not None:
        overall = {score.metric: score.mean for score in scores if score.kind == "all"}
        save_model(Path(save_to), model, settings, data, {"split": split, "epochs": epochs, "scores": overall})
        write_predictions(Path(save_to) / f"predictions-{split}.parquet", predictions, questions, metrics)
        _write_results(model, settings, data, Path(save_to))
    return scores


def _write_results(model: SAN, config: TrainingConfig, data: PreparedData, out: Path) -> None:
    """Writes the answers to unanswered questions, and for VQA to the held-out split, for VQA's evaluation server."""
    wanted = {"unanswered", held_out(data)} if "vqa" in data.metrics else {"unanswered"}
    for name in wanted & set(data.splits):
        predictions = predict_split(model, data, data.split(name), config.precision)
        write_official_results(out / f"vqa-results-{name}.json", predictions, data.questions_of(name))
