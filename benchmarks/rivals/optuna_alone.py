"""Optuna alone: two processes over one journal, each with `study.optimize`, TPE and Optuna's halving."""

import multiprocessing
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback

from benchmarks.rivals.plain_training import epochs
from benchmarks.rivals.task import FACTOR, SLOTS, Task

NAME = "search"


def search(task: Task) -> None:
    """Runs the search."""
    study = optuna.create_study(study_name=NAME, storage=_storage(task), direction="maximize")
    study.enqueue_trial(dict(task.searched.baseline))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=optimize, args=(task, number)) for number in range(SLOTS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def optimize(task: Task, process: int) -> None:
    """Runs trials in one process until the study has enough."""
    study = optuna.load_study(
        study_name=NAME,
        storage=_storage(task),
        sampler=TPESampler(seed=SLOTS * task.seed + process),  # equal seeds would draw equal trials
        pruner=SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR),
    )
    parameters = task.searched.parameters

    def objective(trial: optuna.Trial) -> float:
        score = 0.0
        for epoch, score in epochs(task, trial.number, {n: _suggest(trial, n, kind) for n, kind in parameters.items()}):
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score

    study.optimize(objective, callbacks=[MaxTrialsCallback(task.trials, states=None)])


def _storage(task: Task) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(Path(task.folder) / "journal.log")))


def _suggest(trial: optuna.Trial, name: str, kind: BaseDistribution) -> object:
    if isinstance(kind, IntDistribution):
        return trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
    if isinstance(kind, FloatDistribution):
        return trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)
    if isinstance(kind, CategoricalDistribution):
        return trial.suggest_categorical(name, kind.choices)
    raise TypeError(f"no such parameter: {kind}")
