"""`python -m tuning.retrain RUN`: trains the best configuration on train plus validation, and tests it once."""

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from results.preparations import ONLY, preparation_name
from results.report.files import write_report
from results.run_folder import RETRAINING, SEARCH, RunFolder
from results.snapshot import load_snapshot
from results.summary import as_json, print_seeds
from san_core.command_line import print_message, printing_to_stderr, program, run_command
from san_core.errors import InputError
from san_core.evaluation import usable_metrics
from san_core.files import exists, from_home, path_from_home, shown
from san_core.hardware import one_thread_if_forked
from san_core.random_states import keep_random_states
from tuning.execution.forks import refuse_fork
from tuning.execution.ray_session import ray_session
from tuning.fresh_seeds import run_under_fresh_seeds
from tuning.options.command_line import options_from_keywords
from tuning.options.retrain_options import parse_retrain_options
from tuning.options.search_options import MOST_SEEDS
from tuning.planning.data import open_searched_data
from tuning.planning.preparations import Data
from tuning.planning.resumed_search import resumed_plan
from tuning.retraining.held_out_guard import models_tested, record_test, refuse_second_test
from tuning.retraining.kept_networks import KeptNetworks
from tuning.retraining.model_card import Card
from tuning.retraining.model_folder import complete_folder, folder_when_whole
from tuning.retraining.plan import Job, Plan, chosen_trial, held_out, plan_jobs
from tuning.retraining.score_check import check_score
from tuning.retraining.score_tables import as_records, has_ensembles, print_scores
from tuning.retraining.training import run_jobs


@dataclass(frozen=True)
class Retrained:
    """What a retraining made.

    Attributes:
        folder: the model folder, for `san_core.load`.
        split: split of the scores: test, or validation if the data have no test questions or it was asked for.
        scores: mean and spread over seeds, a row for each configuration, or ensemble, metric and group of questions;
            see `tuning.retraining.score_tables.spread`.
    """

    folder: Path
    split: str
    scores: pd.DataFrame


@keep_random_states()
@one_thread_if_forked()
def retrain(  # noqa: PLR0913
    run: RunFolder | str | Path,
    trial: int | None = None,
    *,
    seeds: int = 3,
    ensemble: bool = False,
    on: str = "test",
    out: str | Path | None = None,
    data: str | Path | Sequence[str | Path] | None = None,
    again: bool = False,
    so_far: bool = False,
) -> Retrained:
    """Trains a trial's configuration and the baseline on all but the test split, tests both, writes a model folder.

    No network is tested before all are trained. The run folder records the use of the test split before any score is
    shown. After an interruption the same call goes on: each network is kept as soon as it is trained.

    Args:
        run: the search: its run folder, the path of that, or its name under runs/.
        trial: number of the trial; None for the best.
        seeds: number of trainings of each configuration, >= 1; the model folder holds the network of the first.
        ensemble: test the networks of each configuration together, too; the model folder holds the ensemble. It needs
            `seeds` >= 2.
        on: `validation` trains on the train split alone, scores the validation questions, and leaves the test split
            unused.
        out: model folder to write; None for one in the run folder.
        data: folder or URI of the prepared data, if they were moved; None where the search had them. If the search had
            several preparations: that of the trial, that of the baseline, or both.
        again: use the test split although it was used for this search before.
        so_far: retrain although the search is still running.

    Raises:
        InputError: if there is no such trial, the search is still running, the folder exists or cannot be written, the
            data are not there or have changed, a training fails, or the test split was used before.
    """
    refuse_fork()
    run = _opened(run)
    _check(trial, seeds, ensemble=ensemble, on=on)
    running = run.search_is_running
    if running and not so_far:
        raise InputError(
            f"the search in {run.shown} is still running, and its best trial may change, but the test split is for one "
            "model; wait for it to end, or retrain what is best so far with --so-far"
        )
    record = load_snapshot(run)  # once, since a search that runs goes on
    source, name = chosen_trial(record, trial), "best" if trial is None else f"trial-{trial}"
    jobs = plan_jobs(record, name, source, seeds)
    sets = open_searched_data(run, _texts(data), {job.data for job in jobs})
    prepared = sets[jobs[0].data]
    plan = Plan(jobs, held_out(prepared) if on == "test" else on, ensemble)
    folder = path_from_home(out or run.retrained / f"{name}{'-ensemble' * ensemble}{'-validation' * (on != 'test')}")
    with run.lock_for(RETRAINING):
        if exists(folder):
            raise InputError(
                f"model folder {shown(folder.absolute())} exists already; delete it or choose another with --out"
            )
        kept = KeptNetworks(run, plan, prepared)
        before = models_tested(run, besides=kept.key if kept.complete else None)  # the test of the same goes on
        if plan.split == "test" and not again:
            refuse_second_test(run, before)
        for line in (*usable_metrics(prepared)[1], *_describe_data(jobs, sets)):
            print_message(line)

        def before_scores() -> None:
            if plan.split == "test":
                record_test(run, folder, networks=kept.key, before=before)

        with kept.until_done(), folder_when_whole(folder, owner=run.name) as partial:
            outcomes = run_jobs(plan, sets, run, partial, kept, before_scores)
            card = Card(record, prepared, plan, trial is not None, before, running=running)
            table = complete_folder(partial, outcomes, card)
    return Retrained(folder, plan.split, table)


def _texts(data: str | Path | Sequence[str | Path] | None) -> list[str]:
    """The folders of data that were moved."""
    given = [data] if isinstance(data, str | Path) else data or ()
    return [from_home(str(each)) for each in given]


def _describe_data(jobs: Sequence[Job], data: Data) -> list[str]:
    """Which preparation each configuration is trained on, a line each; nothing if the search had one only."""
    return [
        f"{name} is trained on {chosen}: {data[chosen].described_images}"
        for name, chosen in dict.fromkeys((job.name, job.data) for job in jobs)
        if chosen != ONLY
    ]


def _opened(run: object) -> RunFolder:
    if isinstance(run, RunFolder):
        return run
    if not isinstance(run, str | Path):
        raise InputError(f"run is {run!r:.80}; accepted: a run folder, its path, or the name of a run under runs/")
    return RunFolder.open(run if isinstance(run, Path) else RunFolder.locate(run))


def _check(trial: object, seeds: Any, *, ensemble: bool, on: str) -> None:  # noqa: ANN401 - as the caller gave it
    for name, value in (("trial", 0 if trial is None else trial), ("seeds", seeds)):
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise InputError(f"{name} is {value!r:.80}; accepted: a whole number")
    if not 1 <= seeds < MOST_SEEDS:
        limit = ">= 1" if seeds < 1 else f"< {MOST_SEEDS}"
        raise InputError(f"seeds must be {limit}, but got {seeds}")
    if ensemble and seeds < 2:
        raise InputError(f"an ensemble needs the networks of two seeds or more, but got seeds={seeds}")
    if on not in ("test", "validation"):
        raise InputError(f"on is {on!r:.80}; accepted: 'test' or 'validation'")


def main() -> int:
    """Retrains and tests, or with `--check` or `--on validation` runs trials again; returns the exit code."""
    options = parse_retrain_options()
    run = RunFolder.open(RunFolder.locate(options.run))
    if options.check:
        return _check_score(options, run)
    if options.on == "validation" and not options.ensemble:
        return _repeat(options, run)
    with printing_to_stderr(only_if=options.json):
        done = retrain(
            run,
            options.trial,
            seeds=options.seeds,
            ensemble=options.ensemble,
            on=options.on,
            out=options.out,
            data=options.data,
            again=options.again,
            so_far=options.so_far,
        )
    if options.json:
        print(json.dumps({"model": str(done.folder), "split": done.split, "scores": as_records(done.scores)}))
    else:
        _print(done, run)
    return 0


def _print(done: Retrained, run: RunFolder) -> None:
    questions = done.scores.loc[done.scores["kind"] == "all", "questions"].iloc[0]
    print(f"{done.split} scores on {run.settings.get('data_name', 'the data')}, {questions:,} questions:\n")
    print_scores(done.scores)
    of = "the ensemble" if has_ensembles(done.scores) else "trained under the first seed"
    print(f"\nmodel folder, {of}: {shown(done.folder.absolute())}; its README.md tells the rest")
    print("to try the model on pictures, on a page in your browser:")
    print(f"  {program('python')} -m san_core.demo {shlex.quote(shown(done.folder.absolute()))}")


def _check_score(options: argparse.Namespace, run: RunFolder) -> int:
    """Trains a trial again under its own seed; exit code 0 if it reaches its recorded score, else 1."""
    with printing_to_stderr(only_if=options.json):
        trial = chosen_trial(load_snapshot(run), options.trial)
        name = preparation_name(trial.params)
        checked = check_score(run, trial, open_searched_data(run, options.data, {name})[name])
    print(json.dumps({**asdict(checked), "reached": checked.reached}) if options.json else checked.describe())
    return 0 if checked.reached else 1


def _repeat(options: argparse.Namespace, run: RunFolder) -> int:
    """Runs the best trials, or the one of `--trial`, and the baseline again under fresh seeds, as in the search."""
    record = load_snapshot(run)
    trial = chosen_trial(record, options.trial)
    numbers = [best.number for best in record.ranked[: options.top]] if options.trial is None else [trial.number]
    resumed = {"resume": f"{run.shown}/", "no_dashboard": True, "data": options.data or None}
    with printing_to_stderr(only_if=options.json), run.lock_for(SEARCH):
        run.repair_journal()
        plan = resumed_plan(options_from_keywords(resumed))
        with ray_session(run.retrain_log):
            run_under_fresh_seeds(plan, numbers, options.seeds)
    snapshot = load_snapshot(run)
    write_report(snapshot)
    if options.json:
        print(json.dumps(as_json(snapshot)))
    else:
        print_seeds(snapshot)
        print(f"\nreport: {shown(run.report_page)}")
    return 0


if __name__ == "__main__":
    run_command(main)
