"""`python -m tuning.retrain RUN`: trains the best configuration on all but the test split, and tests it."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from results.report.files import write
from results.run_folder import RETRAINING, RunFolder
from results.summary import as_json, print_seeds
from san_core.command_line import CommandLine, number, print_message, run_command
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.evaluation import usable_metrics
from tuning.confirm import confirm
from tuning.execution.ray_session import ray_session
from tuning.plan import resumed_plan
from tuning.retraining.model_card import Card
from tuning.retraining.model_folder import complete_folder, folder_when_whole
from tuning.retraining.recheck import recheck
from tuning.retraining.score_tables import as_records, print_scores
from tuning.retraining.test_split_guard import models_tested, note_tested, refuse_second_test
from tuning.retraining.training import chosen_trial, held_out, plan_jobs, run_jobs
from tuning.study.study import best_trials


@dataclass(frozen=True)
class Retrained:
    """What a retraining left.

    Attributes:
        folder: the model folder, for `san_core.load`.
        split: that was scored: test, or validation for data without test questions.
        scores: mean and spread over seeds, a row for each configuration, metric and group of questions; see
            `tuning.retraining.score_tables.spread`.
    """

    folder: Path
    split: str
    scores: pd.DataFrame


def retrain(
    run: RunFolder, trial: int | None = None, *, seeds: int = 3, out: str | Path | None = None, again: bool = False
) -> Retrained:
    """Trains a trial's configuration and the baseline on all but the test split, tests them, writes a model folder.

    The test split is touched when every network is trained, and that is noted before it is.

    Args:
        run: the search.
        trial: number of the trial; None for the best.
        seeds: trainings of each configuration, >= 1; the model folder holds the first one's network.
        out: model folder to write; None for one in the run folder.
        again: use the test split although it was used for this search before.

    Raises:
        InputError: if there is no such trial, the folder exists or cannot be written, the data have changed, a
            training fails, or the test split was used before.
    """
    source, data = chosen_trial(run, trial), _open_data(run)
    name = "best" if trial is None else f"trial-{source.number}"
    folder, split = Path(out or run.retrained / name), held_out(data)
    if seeds < 1:
        raise InputError(f"seeds must be >= 1, but got {seeds}")
    with run.locked(RETRAINING):
        if folder.exists():
            raise InputError(f"model folder {folder} exists already; delete it or choose another with --out")
        if split == "test" and not again:
            refuse_second_test(run)
        before = models_tested(run)
        jobs = plan_jobs(run, name, source, seeds)
        for reason in usable_metrics(data)[1]:
            print_message(reason)
        with folder_when_whole(folder, owner=run.name) as partial:
            note = (lambda: note_tested(run, folder)) if split == "test" else (lambda: None)
            outcomes = run_jobs(jobs, data, run, partial, before_testing=note)
            table = complete_folder(partial, outcomes, Card(run, data, folder, jobs, trial is not None, before))
    return Retrained(folder, split, table)


def _open_data(run: RunFolder) -> PreparedData:
    """The data the search ran on, unchanged."""
    data, searched = PreparedData.open(Path(run.setting("data"))), run.setting("data_fingerprint")
    if data.fingerprint != searched:
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but the search ran on {searched}; "
            "prepare the data again as they were"
        )
    return data


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
    if options.check:
        return _check(options, run)
    if options.on == "validation":
        return _repeat(options, run)
    if options.top > 1:
        raise InputError(f"--top {options.top} goes with --on validation: the test split is for one configuration")
    done = retrain(run, options.trial, seeds=options.seeds, out=options.out, again=options.again)
    if options.json:
        print(json.dumps({"model": str(done.folder), "split": done.split, "scores": as_records(done.scores)}))
    else:
        _print(done, _open_data(run))
    return 0


def _print(done: Retrained, data: PreparedData) -> None:
    print(f"{done.split} scores on {data.name}, {data.manifest['counts'][done.split]:,} questions:\n")
    print_scores(done.scores)
    print(f"\nmodel folder, trained under the first seed: {done.folder}; its README.md tells the rest")


def _check(options: argparse.Namespace, run: RunFolder) -> int:
    """Runs a trial again as in the search, and says whether it reaches its score."""
    checked = recheck(run, chosen_trial(run, options.trial), _open_data(run))
    print(json.dumps({**asdict(checked), "reached": checked.reached}) if options.json else checked.describe())
    return 0 if checked.reached else 1


def _repeat(options: argparse.Namespace, run: RunFolder) -> int:
    """Runs the best trials, or the one asked for, and the baseline again under fresh seeds, as in the search."""
    trial = chosen_trial(run, options.trial)
    numbers = best_trials(run.study(), options.top) if options.trial is None else [trial.number]
    as_in_the_search = argparse.Namespace(resume=f"{run.path}/", concurrent=None, address=None, no_dashboard=True)
    with run.locked():
        run.mend_journal()
        plan = resumed_plan(as_in_the_search, {})
        with ray_session(run.path / "retrain.log"):
            confirm(plan, numbers, options.seeds)
    write(run)
    if options.json:
        print(json.dumps(as_json(run)))
    else:
        print_seeds(run)
        print(f"\nreport: {run.report_page}")
    return 0


if __name__ == "__main__":
    run_command(main)
