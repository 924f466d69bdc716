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

from results.preparations import preparation_name
from results.ranking import can_be_best
from results.run_folder import RunFolder
from results.snapshot import RunSnapshot, best_length
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
from tuning.execution.watchdog import end_if_ray_dies
from tuning.retraining.kept_networks import Job, KeptNetworks, Weights
from tuning.study.seeds import RETRAINING_SEEDS, derive_seed
from tuning.training_settings import training_settings


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


def chosen_trial(record: RunSnapshot, wanted: int | None) -> FrozenTrial:
    """The trial to retrain: the one of the number `wanted`, or the best one for None.

    Raises:
        InputError: if there is no such trial, or it finished no epoch.
    """
    run = record.folder.shown
    if wanted is None:
        if record.best is None:
            raise InputError(f"no trial of {run} is complete, so there is no best one; choose one with --trial")
        return record.best
    trials = len(record.search) + record.left_out
    if not 0 <= wanted < trials:
        raise InputError(f"trial {wanted} does not exist in {run}; accepted: 0 to {trials - 1}")
    trial = next((trial for trial in record.search if trial.number == wanted), None)
    if trial is None or not trial.intermediate_values:
        raise InputError(f"trial {wanted} of {run} finished no epoch, so there is no length to retrain it for")
    return trial


def plan_jobs(record: RunSnapshot, name: str, trial: FrozenTrial, seeds: int) -> list[Job]:
    """The trainings of a trial's configuration and of the baseline under each seed.

    Each is trained for as many epochs as gave it the best mean validation score over its runs, in the search and under
    fresh seeds. A baseline that did not finish in the search is left out, since it is not known how long to train it.

    Args:
        record: what the search has found.
        name: name of the trial's configuration.
        trial: trial of the search.
        seeds: number of seeds.
    """
    settings, seed, number = dict(record.settings), record.folder.setting("seed"), record.baseline_number
    chosen = {"baseline" if trial.number == number else name: trial}
    if number is not None and number != trial.number:
        baseline = record.baseline
        if baseline is not None and can_be_best(baseline):
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
            epochs=best_length(record, source),
            data=preparation_name(source.params),
        )
        for repeat in range(seeds)
        for label, source in chosen.items()
    ]


def run_jobs(
    jobs: Sequence[Job],
    data: Mapping[str, PreparedData],
    run: RunFolder,
    out: Path,
    kept: KeptNetworks,
    before_scores: Callable[[], object],
) -> list[Outcome]:
    """Trains every job's network that is not kept yet; when all are trained, tests each.

    Args:
        jobs: the trainings.
        data: the data sets that the jobs name.
        run: the search; its settings say how many cores and GPUs each training gets.
        out: folder that the first job's network and its predictions are written to.
        kept: where each network is kept as soon as it is trained.
        before_scores: function called when a network is tested, before its scores are shown.

    Raises:
        InputError: if a training or a test fails, or Ray dies.
    """
    threads, folders = run.setting("cpus_per_trial"), {name: str(each.folder) for name, each in data.items()}
    advice = "no model folder was written"
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
    with (
        ray_session(run.retrain_log, cpus=cores),
        end_if_ray_dies(advice, tidies_up=True),
        explain_errors(run.retrain_log, advice),
    ):
        curves = kept.all()
        if curves:
            print_message(f"{len(curves)} of {len(jobs)} networks are kept from an interrupted retraining")
        trained: dict[Job, tuple[Any, Any]] = {}
        for group in _groups([job for job in jobs if job not in curves], run.settings.get("cohort", 1)):
            settings = [(job.config.to_dict(), job.epochs) for job in group]
            folder = folders[group[0].data]
            references = train.options(num_returns=2 * len(group)).remote(settings, folder, threads)
            trained |= dict(zip(group, zip(references[::2], references[1::2], strict=True), strict=True))

        def keep(job: Job, curve: Sequence[EpochResult]) -> str:
            if curve[-1].diverged:
                raise InputError(f"it diverged in epoch {curve[-1].epoch}: {curve[-1].diverged}")
            kept.keep(job, curve, ray.get(trained[job][1]))
            return f"loss {curve[-1].loss:.4f}"

        def score(_: Job, scores: Sequence[Score]) -> str:
            before_scores()
            return f"{scores[0].metric} {scores[0].mean:.2%}"

        curves |= _gather({job: curve for job, (curve, _) in trained.items()}, "trained", keep, total=len(jobs))
        tested = {
            job: test.remote(job.config.to_dict(), job.epochs, folders[job.data], threads, kept.weights(job), place)
            for job, place in zip(jobs, [str(out.resolve()), *[None] * (len(jobs) - 1)], strict=True)
        }
        scores = _gather(tested, "tested", score, total=len(jobs))
    return [Outcome(job, curves[job], scores[job]) for job in jobs]


def _gather(
    references: Mapping[Job, "ray.ObjectRef[Any]"], done: str, receive: Callable[[Job, Any], str], total: int
) -> dict[Job, Any]:
    """The results of the jobs' tasks; prints a line for each that finishes.

    Args:
        references: the jobs' tasks.
        done: what was done to a network, in one word.
        receive: function called with each result; returns what to print of it.
        total: number of jobs, those included that were done before.

    Raises:
        InputError: if a task failed, or `receive` raises it.
    """
    results: dict[Job, Any] = {}
    pending = {reference: job for job, reference in references.items()}
    before = total - len(pending)
    while pending:
        ready, _ = ray.wait(list(pending))
        job = pending.pop(ready[0])
        try:
            results[job] = ray.get(ready[0])
            found = receive(job, results[job])
        except (ray.exceptions.RayError, InputError) as error:
            reason = describe_error(error) if find_low_memory(error) else str(error).strip().splitlines()[-1]
            raise InputError(f"trial {job.trial} under seed {job.config.seed} was not {done}: {reason}") from error
        print_message(f"{before + len(results)} of {total} {done}: {job.name}, seed {job.config.seed}, {found}")
    return results


def _groups(jobs: Sequence[Job], width: int) -> list[list[Job]]:
    """The jobs that are trained by one step: up to `width` on the same data and in the same order of batches."""
    kinds: dict[Hashable, list[Job]] = {}
    for job in jobs:
        kind = job.data, *(getattr(job.config, name) for name in SHARED_FIELDS)
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
