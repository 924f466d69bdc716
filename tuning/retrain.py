"""`python -m tuning.retrain RUN`: trains the best configuration on all but the test split, and tests it."""

import argparse
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import ray
import torch
from optuna.trial import FrozenTrial
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from san_core.checkpoint import save_model
from san_core.command_line import CommandLine, number, run_command, say
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.training import EpochResult, score_split, train_fn
from tuning.engine import machine_cpus, ray_session
from tuning.run_folder import BASELINE_TRIAL, RunFolder, write_json
from tuning.study import RETRAINING_SEEDS, best_trial, training_seed


@dataclass(frozen=True)
class Job:
    """One training: which trial's configuration, under which seed."""

    name: str
    trial: int
    config: TrainingConfig


def _parse() -> argparse.Namespace:
    parser = CommandLine(
        "tuning.retrain",
        "Trains a configuration on train plus validation under several seeds, evaluates the test split once per "
        "seed, does the same for the baseline, and saves a model folder.",
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="name of a run under runs/, or a path with a slash")
    add("--trial", type=number(int, at_least=0), help="trial to retrain (default: the best)")
    add("--seeds", type=number(int, at_least=1), default=3, help="trainings of each configuration")
    add("--out", type=Path, help="model folder to write (default: RUN/retrained/best, or .../trial-N)")
    add("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args()


def main() -> None:
    """Retrains, tests, saves and prints."""
    options = _parse()
    run = RunFolder.open(RunFolder.locate(options.run, ""))
    trial = _chosen_trial(run, options.trial)
    data = _open_data(run)
    name = "best" if options.trial is None else f"trial-{trial.number}"
    out = options.out or run.retrained / name
    if out.exists():
        raise InputError(f"model folder {out} exists already; delete it or choose another with --out")
    jobs = _plan(run, name, trial, options.seeds)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot write model folder {out}: {error.strerror}") from error
    try:
        table = _spread(jobs, _run_jobs(jobs, data, run, partial))
        write_json(partial / "test_scores.json", {"configurations": _records(table)})
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if options.json:
        print(json.dumps({"model": str(out), "configurations": _records(table)}))
    else:
        _print(table, out, data)


def _chosen_trial(run: RunFolder, wanted: int | None) -> FrozenTrial:
    """The trial to retrain: the one asked for, else the best."""
    study = run.study()
    if wanted is None:
        best = best_trial(study)
        if best is None:
            raise InputError(f"no trial of {run.path} is complete, so there is no best one; choose one with --trial")
        return best
    if wanted >= len(study.trials):
        raise InputError(f"trial {wanted} does not exist in {run.path}; accepted: 0 to {len(study.trials) - 1}")
    trial = study.trials[wanted]
    if not trial.intermediate_values:
        raise InputError(f"trial {wanted} of {run.path} finished no epoch, so there is no length to retrain it for")
    return trial


def _open_data(run: RunFolder) -> PreparedData:
    """The data the search ran on, unchanged."""
    data, searched = PreparedData.open(Path(run.setting("data"))), run.setting("data_fingerprint")
    if data.fingerprint != searched:
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but the search ran on {searched}; "
            "prepare the data again as they were"
        )
    return data


def _plan(run: RunFolder, name: str, trial: FrozenTrial, seeds: int) -> list[Job]:
    """Each seed's training of the trial and of the baseline, for as many epochs as served each best."""
    fixed, seed = run.setting("fixed"), run.setting("seed")
    baseline = _chosen_trial(run, BASELINE_TRIAL)
    chosen = {"baseline": baseline} if trial.number == BASELINE_TRIAL else {name: trial, "baseline": baseline}
    return [
        Job(
            name=label,
            trial=source.number,
            config=TrainingConfig.from_dict(
                {
                    **fixed,
                    **source.params,
                    "epochs": _best_epoch(source),
                    "seed": training_seed(seed, RETRAINING_SEEDS, repeat),
                }
            ),
        )
        for repeat in range(seeds)
        for label, source in chosen.items()
    ]


def _best_epoch(trial: FrozenTrial) -> int:
    """The epoch with the trial's best validation accuracy, the earliest of equals."""
    scores = trial.intermediate_values
    return max(scores, key=lambda epoch: (scores[epoch], -epoch))


def _run_jobs(jobs: list[Job], data: PreparedData, run: RunFolder, out: Path) -> list[float]:
    """Every job's test accuracy; the model of the retrained configuration's first seed goes to `out`."""
    cpus, gpus = run.setting("cpus_per_trial"), torch.cuda.device_count()
    cores = max(machine_cpus(), cpus)
    # Asking for more cores than threads keeps no more trainings at once than the search had trials. Rounded
    # up, because Ray takes no fraction of a number above 1.
    share = max(cpus, math.ceil(cores / run.setting("concurrent")))
    train = ray.remote(num_cpus=share, num_gpus=min(run.setting("gpus_per_trial"), gpus), max_retries=0)(
        _train_and_test
    )
    with ray_session(run.path / "retrain.log", cpus=cores, gpus=gpus, dashboard=False):
        pending = {
            train.remote(job.config.to_dict(), str(data.folder), cpus, str(out.resolve()) if i == 0 else None): i
            for i, job in enumerate(jobs)
        }
        scores: dict[int, float] = {}
        while pending:
            done, _ = ray.wait(list(pending))
            index = pending.pop(done[0])
            scores[index] = _result(done[0], jobs[index])
            say(f"{len(scores)} of {len(jobs)}: {jobs[index].name}, test accuracy {scores[index]:.2%}")
    return [scores[i] for i in range(len(jobs))]


def _result(reference: ray.ObjectRef[float], job: Job) -> float:
    """A finished job's test accuracy.

    Raises:
        InputError: if its training failed.
    """
    try:
        return float(ray.get(reference))
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"training trial {job.trial} under seed {job.config.seed} failed: {reason}") from error


def _train_and_test(config: Mapping[str, Any], data_folder: str, threads: int, save_to: str | None) -> float:
    """One training on train plus validation, and its accuracy on the test split."""
    torch.set_num_threads(threads)
    settings, data = TrainingConfig.from_dict(config), PreparedData.open(Path(data_folder))
    model = train_fn(settings, data, _stop_if_diverged, train_on=("train", "validation"), score_on=None)
    score = score_split(model, data, data.split("test"), settings.precision)
    if save_to is not None:
        save_model(Path(save_to), model, settings, data, {"test_accuracy": score})
    return score


def _stop_if_diverged(result: EpochResult) -> bool:
    if result.diverged:
        raise InputError(f"it diverged in epoch {result.epoch}: the loss is {result.loss}")
    return True


def _spread(jobs: list[Job], scores: list[float]) -> pd.DataFrame:
    """Mean and sample standard deviation of each configuration's test accuracy."""
    rows = pd.DataFrame(
        {
            "configuration": [job.name for job in jobs],
            "trial": [job.trial for job in jobs],
            "epochs": [job.config.epochs for job in jobs],
            "test_accuracy": scores,
        }
    )
    return (
        rows.groupby(["configuration", "trial", "epochs"], sort=False)["test_accuracy"]
        .agg(seeds="count", mean="mean", std="std", accuracies=list)
        .reset_index()
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, fit for JSON: None where a single seed has no spread."""
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def _print(table: pd.DataFrame, out: Path, data: PreparedData) -> None:
    print(f"test accuracy on {data.name}, {len(data.split('test')):,} questions:\n")
    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("", "trial", "epochs", "seeds", "mean", "s.d. (points)", "lowest", "highest"):
        shown.add_column(heading, justify="right" if heading else "left")
    for row in table.to_dict("records"):
        scores = row["accuracies"]
        shown.add_row(
            row["configuration"],
            *(str(row[column]) for column in ("trial", "epochs", "seeds")),
            f"{row['mean']:.2%}",
            "–" if pd.isna(row["std"]) else f"{100 * row['std']:.2f}",
            f"{min(scores):.2%}",
            f"{max(scores):.2%}",
        )
    Console(highlight=False).print(shown)
    print(f"\nmodel folder, trained under the first seed: {out}")


if __name__ == "__main__":
    run_command(main)
