"""Trains configurations under several seeds on all but the scored split, and then tests them, in tasks of Ray."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch
from torch import Tensor

from results.run_folder import RunFolder
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
    predict_together,
    usable_metrics,
    write_official_results,
    write_predictions,
)
from san_core.hardware import best_device
from san_core.models.ensemble import Ensemble
from san_core.models.san import SAN
from san_core.shared_training import SharedTraining, smallest_width
from san_core.training import EpochResult, build_model, train_fn
from tuning.execution.placement import fitting_in_memory
from tuning.execution.ray_session import machines, ray_session
from tuning.execution.trial_setup import STEP_SIZES
from tuning.execution.tune_errors import describe_error, explain_errors, find_low_memory
from tuning.execution.watchdog import end_if_ray_dies
from tuning.retraining.kept_networks import KeptNetworks, Trained
from tuning.retraining.plan import Job, Plan, called


@dataclass(frozen=True)
class Outcome:
    """The result of a job, or of the ensemble that its network is the first of.

    Attributes:
        job: the job.
        curve: every epoch of its training; of an ensemble none.
        scores: scores on the split of the plan.
        networks: number of networks that answer together: 1, or more for an ensemble.
    """

    job: Job
    curve: Sequence[EpochResult]
    scores: Sequence[Score]
    networks: int = 1

    @property
    def name(self) -> str:
        """What tables call it."""
        return called(self.job.name, self.networks)


def run_jobs(
    plan: Plan,
    data: Mapping[str, PreparedData],
    run: RunFolder,
    out: Path,
    kept: KeptNetworks,
    before_scores: Callable[[], object],
) -> list[Outcome]:
    """Trains every job's network that is not kept yet; when all are trained, tests them.

    Args:
        plan: the trainings, and what is tested.
        data: the data sets that the jobs name.
        run: the search; its settings say how many cores and GPUs each training gets.
        out: folder that the first job's network, or the ensemble with it, and its predictions are written to.
        kept: where each network is kept as soon as it is trained.
        before_scores: function called when a network is tested, before its scores are shown.

    Returns:
        The outcome of each job; then that of each ensemble.

    Raises:
        InputError: if a training or a test fails, or Ray dies.
    """
    jobs = plan.jobs
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
            references = train.options(num_returns=2 * len(group)).remote(settings, folder, threads, plan.trained_on)
            trained |= dict(zip(group, zip(references[::2], references[1::2], strict=True), strict=True))

        def keep(networks: tuple[Job, ...], curve: Sequence[EpochResult]) -> str:
            if curve[-1].diverged:
                raise InputError(f"it diverged in epoch {curve[-1].epoch}: {curve[-1].diverged}")
            kept.keep(networks[0], curve, ray.get(trained[networks[0]][1]))
            return f"loss {curve[-1].loss:.4f}"

        def score(_: tuple[Job, ...], scores: Sequence[Sequence[Score]]) -> str:
            before_scores()
            return f"{scores[-1][0].metric} {scores[-1][0].mean:.2%}"

        done = _gather({(job,): curve for job, (curve, _) in trained.items()}, "trained", keep, total=len(jobs))
        curves |= {job: curve for (job,), curve in done.items()}
        tested = {
            networks: test.remote(kept.trained(networks), folders[networks[0].data], threads, plan.split, place)
            for networks, place in zip(plan.tests, [str(out.resolve()), *[None] * len(jobs)], strict=False)
        }
        return outcomes(plan, curves, _gather(tested, "tested", score, total=len(tested)))


def outcomes(
    plan: Plan, curves: Mapping[Job, Sequence[EpochResult]], scores: Mapping[tuple[Job, ...], Sequence[Sequence[Score]]]
) -> list[Outcome]:
    """The outcome of each job; then that of each ensemble.

    Args:
        plan: the trainings, and what is tested.
        curves: the epochs of each training.
        scores: what `_test` returned of each test.
    """
    of_network = {job: own for networks in plan.tests for job, own in zip(networks, scores[networks], strict=False)}
    return [
        *(Outcome(job, curves[job], of_network[job]) for job in plan.jobs),
        *(Outcome(each[0], [], scores[each][-1], len(each)) for each in plan.tests if len(each) > 1),
    ]


def _gather(
    references: Mapping[tuple[Job, ...], "ray.ObjectRef[Any]"],
    done: str,
    receive: Callable[[tuple[Job, ...], Any], str],
    total: int,
) -> dict[tuple[Job, ...], Any]:
    """The results of tasks; prints a line for each that finishes.

    Args:
        references: the tasks, by the jobs whose networks they train or test.
        done: what was done to a network, in one word.
        receive: function called with each result; returns what to print of it.
        total: number of tasks, those included that were done before.

    Raises:
        InputError: if a task failed, or `receive` raises it.
    """
    results: dict[tuple[Job, ...], Any] = {}
    pending = {reference: jobs for jobs, reference in references.items()}
    before = total - len(pending)
    while pending:
        ready, _ = ray.wait(list(pending))
        jobs = pending.pop(ready[0])
        job, seeds = jobs[0], ", ".join(str(job.config.seed) for job in jobs)
        try:
            results[jobs] = ray.get(ready[0])
            found = receive(jobs, results[jobs])
        except (ray.exceptions.RayError, InputError) as error:
            reason = describe_error(error) if find_low_memory(error) else str(error).strip().splitlines()[-1]
            raise InputError(f"trial {job.trial} under seed {seeds} was not {done}: {reason}") from error
        what = f"{job.name}, seed {seeds}" if len(jobs) == 1 else called(job.name, len(jobs))
        print_message(f"{before + len(results)} of {total} {done}: {what}, {found}")
    return results


def _groups(jobs: Sequence[Job], width: int) -> list[list[Job]]:
    """The jobs that are trained by one step: up to `width` on the same data and in the same order of batches."""
    kinds: dict[Hashable, list[Job]] = {}
    for job in jobs:
        kind = job.data, *(getattr(job.config, name) for name in SHARED_FIELDS)
        kinds.setdefault(kind, []).append(job)
    return [group[start : start + width] for group in kinds.values() for start in range(0, len(group), width)]


def _train(
    settings: Sequence[tuple[Mapping[str, Any], int]], data_folder: str, threads: int, train_on: Sequence[str]
) -> list[Any]:
    """Trainings on some splits: of each its epochs and the network's weights, in turn."""
    torch.set_num_threads(threads)
    data = PreparedData.open(Path(data_folder))
    plans = [(TrainingConfig.from_dict(values), epochs) for values, epochs in settings]
    if len(plans) > 1:
        return _train_together(plans, data, train_on)
    ((config, epochs),) = plans
    curve: list[EpochResult] = []

    def report(result: EpochResult) -> bool:
        curve.append(result)
        return result.epoch < epochs

    model = train_fn(config, data, report, train_on=train_on, score_on=None)
    return [curve, _on_cpu(model.state_dict())]


def _train_together(
    plans: Sequence[tuple[TrainingConfig, int]], data: PreparedData, train_on: Sequence[str]
) -> list[Any]:
    """The same by one step."""
    first, _ = plans[0]
    largest = replace(first, **{name: max(getattr(config, name) for config, _ in plans) for name in STEP_SIZES})
    shared = SharedTraining(largest, smallest_width(len(plans)), data, train_on=train_on, score_on=None)
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
    networks: Sequence[Trained], data_folder: str, threads: int, split: str, save_to: str | None
) -> list[list[Score]]:
    """Scores of trained networks on a split: of each, and of several then those of their ensemble.

    The network, or the ensemble of several, is saved to the folder `save_to`.
    """
    torch.set_num_threads(threads)
    data = PreparedData.open(Path(data_folder))
    configs = [TrainingConfig.from_dict(config) for config, _, _ in networks]
    models = [build_model(config, data) for config in configs]
    for model, (_, _, weights) in zip(models, networks, strict=True):
        model.load_state_dict(weights)
        model.to(best_device())
    predictions = predict_together(models, data, data.split(split), configs[0].precision)
    questions, (metrics, _) = data.questions_of(split), usable_metrics(data)
    scores = [evaluate(each, questions, metrics) for each in predictions]
    if save_to is not None:
        answering = models[0] if len(models) == 1 else Ensemble(models)
        overall = {score.metric: score.mean for score in scores[-1] if score.kind == "all"}
        about, seeds = {"split": split, "epochs": networks[0][1], "scores": overall}, [each.seed for each in configs]
        save_model(Path(save_to), answering, configs[0], data, about, seeds if len(models) > 1 else ())
        write_predictions(Path(save_to) / f"predictions-{split}.parquet", predictions[-1], questions, metrics)
        _write_results(answering, configs[0], data, split, Path(save_to))
    return scores


def _write_results(model: SAN | Ensemble, config: TrainingConfig, data: PreparedData, split: str, out: Path) -> None:
    """Writes the answers to unanswered questions, and for VQA to the scored split, for VQA's evaluation server."""
    wanted = {"unanswered", split} if "vqa" in data.metrics else {"unanswered"}
    for name in wanted & set(data.splits):
        predictions = predict_split(model, data, data.split(name), config.precision)
        write_official_results(out / f"vqa-results-{name}.json", predictions, data.questions_of(name))
