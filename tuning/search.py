"""`python -m tuning.search`: searches hyperparameters on the machine's GPUs or cores."""

import contextlib
import json
import shlex
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from results import summary
from results.jobs import describe_trials
from results.preparations import DATA_PARAMETER
from results.report.files import write_report
from results.run_folder import SEARCH, RunFolder
from results.snapshot import RunSnapshot, load_snapshot
from san_core.command_line import print_message, printing_to_stderr, program, run_command
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.files import shown, write_json
from san_core.hardware import one_thread_if_forked
from san_core.random_states import keep_random_states
from san_core.signals import exit_code, is_interrupted
from tuning.attention_examples import write_examples
from tuning.execution.forks import refuse_fork
from tuning.execution.gpu_memory import shared_gpus_notice
from tuning.execution.ray_session import ray_session, same_address
from tuning.execution.run_trials import Callbacks, how_to_go_on
from tuning.fresh_seeds import run_race, run_study
from tuning.monitoring.dashboard import asks_for_token
from tuning.monitoring.notifications import Notifier, conceal_url
from tuning.options.command_line import options_from_keywords, parse_options
from tuning.options.search_options import SearchOptions
from tuning.planning.new_search import new_plan
from tuning.planning.plan import SearchPlan
from tuning.planning.resumed_search import resumed_plan
from tuning.study.open_study import open_search
from tuning.study.study import Study
from tuning.training_settings import training_settings


@keep_random_states()
@one_thread_if_forked()
def search(**options: object) -> RunFolder:
    """Runs one search up to the report, as `python -m tuning.search` does; prints nothing but progress.

    Args:
        options: options of the command by name, with `_` for `-`: `data`, `space`, `trials`, `budget`, `run`, ...
            `set` takes a mapping of training settings; `try` is called `try_first`. `SearchOptions` declares them all.

    Returns:
        The run folder, which `results.tables` makes pandas tables of.

    Raises:
        InputError: if options are not accepted, or something else keeps the search from being carried out; the message
            names all of it.
        KeyboardInterrupt: when interrupted; what had finished is safe, and `search(resume=...)` goes on.
    """
    refuse_fork()
    snapshot, code = _search(options_from_keywords(options))
    if is_interrupted(code):
        raise KeyboardInterrupt
    return snapshot.folder


def main() -> int:
    """Runs one search from the options to the report; returns the exit code."""
    started = time.monotonic()
    options = parse_options()
    if "notify" in options.given:
        conceal_url()
    with printing_to_stderr(only_if=options.json):
        snapshot, code = _search(options)
    if is_interrupted(code):
        return code
    if options.json:
        seconds = round(time.monotonic() - started, 1)
        print(json.dumps({"run": str(snapshot.folder.path), "seconds": seconds, **summary.as_json(snapshot)}))
    else:
        _print_results(snapshot, time.monotonic() - started)
    return code


def _search(options: SearchOptions) -> tuple[RunSnapshot, int]:
    """Runs search and confirmation, writes the results and notifies of the end.

    Returns:
        What the run folder holds at the end, and the exit code: 0, 1 without a complete trial, > 128 if interrupted.

    Raises:
        InputError: if the search cannot go on; the report of what had finished is written before, if it can be.
    """
    plan = resumed_plan(options) if options.resume else new_plan(options)
    run = plan.run
    with run.lock_for(SEARCH), Notifier(options.notify, run) as notifier:
        print_message(f"run folder {run.shown}; {plan.placement.describe(plan.cohort)}")
        if plan.placement.gpus and options.address is None and (notice := shared_gpus_notice()):
            print_message(notice)
        run.change_settings(plan.settings)
        run.repair_journal()
        study = open_search(run, plan.space, plan.rules, first_trials=plan.first_trials)
        try:
            _run(study, plan, notifier, options)
        except KeyboardInterrupt:
            return load_snapshot(run), exit_code()
        snapshot = load_snapshot(run)
        if snapshot.best:
            write_examples(snapshot)
        _write_results(snapshot)
        code = 0 if snapshot.best else 1
        notifier.notify_end(code, snapshot.best)
    return snapshot, code


def _run(study: Study, plan: SearchPlan, notifier: Notifier, options: SearchOptions) -> None:
    """Runs the study's trials, and then a race of the best of them under fresh seeds."""
    run, address = plan.run, options.address

    def remove_if_new() -> None:
        if not options.resume:  # the folder of a search that never began would keep the next one from its name
            shutil.rmtree(run.path, ignore_errors=True)

    callbacks = Callbacks(notifier.callbacks(study), notifier.notify_ray_death)
    with contextlib.ExitStack() as ray_ends, _report_early_end(run, notifier):
        session = ray_session(run.log, dashboard=plan.dashboard, address=address, on_failed_start=remove_if_new)
        url = ray_ends.enter_context(session)
        if url:
            login = f" (to log in, paste what this prints: {program('ray')} get-auth-token)"
            print_message(f"Ray dashboard: {url}{login if address or asks_for_token() else ''}")
        run_study(study, plan, f"searching {run.setting('space')} on {run.setting('data_name')}", callbacks)
        print_message(f"the search is over: {study.stop_reason}{_how_to_finish(study.interrupted)}")
        study.record_end()
        run_race(plan, Callbacks(on_ray_death=notifier.notify_ray_death))


def _how_to_finish(stopped: Collection[int]) -> str:
    """What is said of the trials that a bound on time stopped."""
    return f"; stopped, and to go on when it is resumed with more: {describe_trials(stopped)}" if stopped else ""


@contextlib.contextmanager
def _report_early_end(run: RunFolder, notifier: Notifier) -> Iterator[None]:
    """Writes the results of a search that is interrupted or cannot go on.

    It does so before Ray ends, which may take longer than Docker waits before it kills the program.
    """
    try:
        yield
    except KeyboardInterrupt:
        try:
            _write_results(load_snapshot(run))
        except InputError as error:
            print_message(f"no report: {error}")
        notifier.notify_end(exit_code())
        python, path = program("python"), shlex.quote(run.shown)
        print_message(f"interrupted; to go on: {python} -m tuning.search --resume {path}{same_address()}")
        raise
    except InputError:
        _write_results_if_any(run)
        raise


def _write_results_if_any(run: RunFolder) -> None:
    """Writes the results of a search that cannot go on, if a trial has ended and they can be written."""
    with contextlib.suppress(InputError, OSError):
        snapshot = load_snapshot(run)
        if any(trial.state.is_finished() for trial in snapshot.search):
            _write_results(snapshot)


def _write_results(snapshot: RunSnapshot) -> None:
    """Writes the tables and the report, and the best configuration if there is one.

    Raises:
        InputError: if they cannot be written.
    """
    run = snapshot.folder
    try:
        write_report(snapshot)
        if best := snapshot.best:
            settings = training_settings(snapshot.settings, best)
            data = {name: value for name, value in best.params.items() if name == DATA_PARAMETER}
            write_json(run.best_file, {"trial": best.number, "score": best.value, **data, "settings": settings})
    except (InputError, OSError) as error:
        raise InputError(f"{error}; {how_to_go_on(run)}") from error


def _print_results(snapshot: RunSnapshot, seconds: float) -> None:
    """Prints the tables, and which commands make something of the best configuration if there is one."""
    run = snapshot.folder
    summary.print_summary(snapshot)
    print(f"\ntime {int(seconds) // 60} min {int(seconds) % 60} s; report: {shown(run.report_page)}")
    if not snapshot.best:
        return
    python, path, model = map(shlex.quote, (program("python"), run.shown, shown(run.retrained / "best")))
    print("\nnext, retrain the best configuration and test it:")
    print(f"  {python} -m tuning.retrain {path}")
    print("then ask the model about any picture:")
    question = PreparedData.open(Path(run.setting("data"))).questions_of("validation")[0].text
    print(f"  {python} -m san_core.predict {model} IMAGE {shlex.quote(question)}")


if __name__ == "__main__":
    run_command(main)
