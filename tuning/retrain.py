"""`python -m tuning.retrain RUN`: trains the best configuration on all but the test split, and tests it."""

import argparse
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from optuna.trial import FrozenTrial

from results.report import write
from results.summary import print_seeds
from san_core.checkpoint import save_model
from san_core.command_line import CommandLine, number, run_command, say
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
from san_core.models.san import SAN
from san_core.training import EpochResult, train_fn
from tuning.confirm import confirm
from tuning.engine import machine_cpus, ray_session
from tuning.open_study import RETRAINING_SEEDS, training_seed
from tuning.plan import resumed_plan
from tuning.recheck import recheck
from tuning.run_folder import RunFolder, read_json, write_json
from tuning.score_tables import as_records, print_scores, spread
from tuning.study import best_trial, best_trials


@dataclass(frozen=True)
class Job:
    """One training: which trial's configuration, under which seed, ended after how many epochs.

    The configuration keeps the search's number of epochs, since schedules follow from it.
    """

    name: str
    trial: int
    config: TrainingConfig
    epochs: int


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
    add("--on", choices=["test", "validation"], default="test", help="validation: run trials again as in the search")
    add("--top", type=number(int, at_least=1), default=1, help="with --on validation: the best so many trials")
    add("--again", action="store_true", help="use the test split although it was used for this search before")
    add("--check", action="store_true", help="run the trial as in the search, and compare with its recorded score")
    add("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args()


def main() -> int:
    """Does what the options ask for; returns the exit code."""
    options = _parse()
    run = RunFolder.open(RunFolder.locate(options.run, ""))
    trial = _chosen_trial(run, options.trial)
    data = _open_data(run)
    if options.check:
        checked = recheck(run, trial, data)
        print(json.dumps({**asdict(checked), "reached": checked.reached}) if options.json else checked.describe())
        return 0 if checked.reached else 1
    if options.on == "validation":
        return _repeat(options, run)
    if options.top > 1:
        raise InputError(f"--top {options.top} goes with --on validation: the test split is for one configuration")
    _retrain(options, run, trial, data)
    return 0


def _retrain(options: argparse.Namespace, run: RunFolder, trial: FrozenTrial, data: PreparedData) -> None:
    """Trains a trial's configuration and the baseline on all but the test split, tests, saves and prints."""
    name = "best" if options.trial is None else f"trial-{trial.number}"
    out, split = options.out or run.retrained / name, _held_out(data)
    if out.exists():
        raise InputError(f"model folder {out} exists already; delete it or choose another with --out")
    tested = read_json(run.tested_file)["models"] if run.tested_file.exists() else []
    if split == "test" and tested and not options.again:
        raise InputError(
            f"{run.path} has used its test split before ({', '.join(tested)}): who chooses among models by test scores "
            "can no longer trust them; --on validation compares, --again tests all the same"
        )
    jobs = _plan(run, name, trial, options.seeds)
    for reason in usable_metrics(data)[1]:
        say(reason)
    with _folder_when_whole(out) as partial:
        scores = _run_jobs(jobs, data, run, partial)
        table = spread([(job.name, job.trial, job.epochs) for job in jobs], scores)
        write_json(partial / "test_scores.json", {"split": split, "scores": as_records(table)})
    write_json(run.tested_file, {"models": [*tested, str(out)]})
    if options.json:
        print(json.dumps({"model": str(out), "split": split, "scores": as_records(table)}))
    else:
        print(f"{split} scores on {data.name}, {data.manifest['counts'][split]:,} questions:\n")
        print_scores(table)
        print(f"\nmodel folder, trained under the first seed: {out}")


def _repeat(options: argparse.Namespace, run: RunFolder) -> int:
    """Runs the best trials, or the one asked for, and the baseline again under fresh seeds, as in the search."""
    numbers = best_trials(run.study(), options.top) if options.trial is None else [options.trial]
    as_in_the_search = argparse.Namespace(resume=f"{run.path}/", concurrent=None, address=None, no_dashboard=True)
    with run.locked():
        run.mend_journal()
        plan = resumed_plan(as_in_the_search, {})
        with ray_session(run.path / "retrain.log"):
            confirm(plan, numbers, options.seeds)
    write(run)
    print_seeds(run)
    print(f"\nreport: {run.report_page}")
    return 0


@contextmanager
def _folder_when_whole(out: Path) -> Iterator[Path]:
    """A hidden folder that gets its name when the context ends well, and goes when it does not."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot write model folder {out}: {error.strerror}") from error
    try:
        yield partial
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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


def _held_out(data: PreparedData) -> str:
    """The split that scores are measured on: test, or validation for data without answered test questions."""
    return "test" if "test" in data.splits else "validation"


def _plan(run: RunFolder, name: str, trial: FrozenTrial, seeds: int) -> list[Job]:
    """Each seed's training of the trial and of the baseline, for as many epochs as served each best."""
    fixed, seed = run.setting("fixed"), run.setting("seed")
    chosen = {} if trial.number == run.baseline_trial else {name: trial}
    if run.baseline_trial is not None:
        chosen["baseline"] = _chosen_trial(run, run.baseline_trial)
    return [
        Job(
            name=label,
            trial=source.number,
            config=TrainingConfig.from_dict(
                {**fixed, **source.params, "seed": training_seed(seed, RETRAINING_SEEDS, repeat)}
            ),
            epochs=_best_epoch(source),
        )
        for repeat in range(seeds)
        for label, source in chosen.items()
    ]


def _best_epoch(trial: FrozenTrial) -> int:
    """The epoch with the trial's best validation score, the earliest of equals."""
    scores = trial.intermediate_values
    return max(scores, key=lambda epoch: (scores[epoch], -epoch))


def _run_jobs(jobs: list[Job], data: PreparedData, run: RunFolder, out: Path) -> list[list[Score]]:
    """Every job's scores; the model of the retrained configuration's first seed goes to `out`."""
    cpus, gpus = run.setting("cpus_per_trial"), torch.cuda.device_count()
    cores = max(machine_cpus(), cpus)
    # Asking for more cores than threads keeps no more trainings at once than the search had trials. Rounded
    # up, because Ray takes no fraction of a number above 1.
    share = max(cpus, math.ceil(cores / run.setting("concurrent")))
    train = ray.remote(num_cpus=share, num_gpus=min(run.setting("gpus_per_trial"), gpus), max_retries=0)(
        _train_and_test
    )
    with ray_session(run.path / "retrain.log", cpus=cores):
        pending = {
            train.remote(
                job.config.to_dict(), job.epochs, str(data.folder), cpus, str(out.resolve()) if i == 0 else None
            ): i
            for i, job in enumerate(jobs)
        }
        scores: dict[int, list[Score]] = {}
        while pending:
            done, _ = ray.wait(list(pending))
            index = pending.pop(done[0])
            scores[index] = _result(done[0], jobs[index])
            overall = scores[index][0]
            say(f"{len(scores)} of {len(jobs)}: {jobs[index].name}, {overall.metric} {overall.mean:.2%}")
    return [scores[i] for i in range(len(jobs))]


def _result(reference: ray.ObjectRef[list[Score]], job: Job) -> list[Score]:
    """A finished job's scores.

    Raises:
        InputError: if its training failed.
    """
    try:
        scores: list[Score] = ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"training trial {job.trial} under seed {job.config.seed} failed: {reason}") from error
    return scores


def _train_and_test(
    config: Mapping[str, Any], epochs: int, data_folder: str, threads: int, save_to: str | None
) -> list[Score]:
    """One training on everything but the held-out split, and its scores on that."""
    torch.set_num_threads(threads)
    settings, data = TrainingConfig.from_dict(config), PreparedData.open(Path(data_folder))
    held_out = _held_out(data)

    def go_on(result: EpochResult) -> bool:
        if result.diverged:
            raise InputError(f"it diverged in epoch {result.epoch}: {result.diverged}")
        return result.epoch < epochs

    train_on = ("train", "validation") if held_out == "test" else ("train",)
    model = train_fn(settings, data, go_on, train_on=train_on, score_on=None)
    predictions, questions = predict_split(model, data, data.split(held_out), settings.precision), data.asked(held_out)
    metrics, _ = usable_metrics(data)
    scores = evaluate(predictions, questions, metrics)
    if save_to is not None:
        overall = {score.metric: score.mean for score in scores if score.kind == "all"}
        save_model(Path(save_to), model, settings, data, {"split": held_out, "epochs": epochs, "scores": overall})
        write_predictions(Path(save_to) / f"predictions-{held_out}.parquet", predictions, questions, metrics)
        _write_results(model, settings, data, Path(save_to))
    return scores


def _write_results(model: SAN, config: TrainingConfig, data: PreparedData, out: Path) -> None:
    """For VQA the answers in the official form, also to the questions nobody answered."""
    if "vqa" not in data.metrics:
        return
    for name in {_held_out(data), "unanswered"} & set(data.splits):
        predictions = predict_split(model, data, data.split(name), config.precision)
        write_official_results(out / f"vqa-results-{name}.json", predictions, data.asked(name))


if __name__ == "__main__":
    run_command(main)
