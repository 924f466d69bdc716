"""`python -m tuning.search`: searches hyperparameters on the machine's GPUs or cores."""

import argparse
import json
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from results import summary
from results.report.files import write
from results.run_folder import SEED, RunFolder, write_json
from san_core.command_line import INTERRUPTED, print_message, run_command
from san_core.data.prepared import PreparedData
from tuning.arguments import Checked, as_arguments
from tuning.confirm import confirm, run_study
from tuning.execution.ray_session import Listeners, ray_session
from tuning.gallery import write_gallery
from tuning.monitoring.dashboard import Dashboard, asks_for_token, dashboard_of
from tuning.monitoring.notifications import Notifier, conceal_url
from tuning.options import parse_options, search_parser
from tuning.plan import Plan, new_plan, resumed_plan
from tuning.study.open_study import open_search
from tuning.study.study import Study, best_trial


def search(**options: object) -> RunFolder:
    """Runs one search, as `python -m tuning.search` does, up to the report; prints nothing but progress.

    Args:
        options: those of the command by name, `_` for `-`: `data`, `space`, `trials`, `budget`, `run`, ... `set` takes
            a mapping of training settings; `try` is called `try_first`.

    Returns:
        The run folder, which `results.tables.trials` makes pandas tables of.

    Raises:
        InputError: for an option that is not accepted, and whatever else keeps the search from being carried out.
        KeyboardInterrupt: when interrupted; what had finished is safe, and `search(resume=...)` goes on.
    """
    arguments = as_arguments(options, search_parser(), left_out=("help", "json"))
    run, code = _search(*parse_options(arguments, Checked))
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return run


def main() -> int:
    """Runs one search from the options to the report; returns the exit code."""
    started = time.monotonic()
    options, given = parse_options()
    if options.notify:
        conceal_url()
    run, code = _search(options, given)
    if code == INTERRUPTED:
        print_message(
            f"interrupted; to go on: {_program('python')} -m tuning.search --resume {shlex.quote(str(run.path))}"
        )
    else:
        _print_results(run, best_trial(run.study()), time.monotonic() - started, as_json=options.json)
    return code


def _search(options: argparse.Namespace, given: Mapping[str, Any]) -> tuple[RunFolder, int]:
    """Runs search and confirmation, writes the results and tells of the end; returns the folder and the exit code."""
    dashboard = dashboard_of(options)
    plan = resumed_plan(options, given) if options.resume else new_plan(options)
    run, interrupted = plan.run, False
    with run.locked(), Notifier(options.notify, run) as notifier:
        print_message(f"run folder {run.path}; {plan.placement.describe()}")
        run.change_settings(plan.settings)
        run.mend_journal()
        study = open_search(run, plan.space, plan.rules, beforehand=plan.beforehand)
        try:
            _run(study, plan, notifier, dashboard, options.address)
        except KeyboardInterrupt:
            interrupted = True
        best = best_trial(study.optuna)
        if best and not interrupted:
            write_gallery(run)
        _write_results(run, best)
        code = INTERRUPTED if interrupted else 0 if best else 1
        notifier.tell_end(code)
    return run, code


def _run(study: Study, plan: Plan, notifier: Notifier, dashboard: Dashboard | None, address: str | None) -> None:
    """Runs the study's trials, and then the best of them under fresh seeds."""
    run = plan.run
    listeners = Listeners(notifier.watch(study), notifier.tell_death)
    with ray_session(run.log, dashboard=dashboard, address=address) as url:
        if url:
            login = f" (to log in, paste what this prints: {_program('ray')} get-auth-token)"
            print_message(f"Ray dashboard: {url}{login if address or asks_for_token() else ''}")
        run_study(study, plan, f"searching {run.setting('space')} on {run.setting('data_name')}", listeners)
        print_message(f"the search is over: {study.over}")
        study.close()
        best = best_trial(study.optuna)
        if plan.confirm and best:
            confirm(plan, [best.number], plan.confirm, Listeners(on_death=notifier.tell_death))


def _write_results(run: RunFolder, best: FrozenTrial | None) -> None:
    """Writes the tables and the report, and the best configuration if there is one."""
    write(run)
    if best:
        settings = {**run.settings["fixed"], **best.params, "seed": best.user_attrs[SEED]}
        write_json(run.best_file, {"trial": best.number, "score": best.value, "settings": settings})


def _print_results(run: RunFolder, best: FrozenTrial | None, seconds: float, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"run": str(run.path), "seconds": round(seconds, 1), **summary.as_json(run)}))
        return
    summary.print_summary(run)
    print(f"\ntime {int(seconds) // 60} min {int(seconds) % 60} s; report: {run.report_page}")
    if not best:
        return
    python, path, model = (shlex.quote(str(part)) for part in (_program("python"), run.path, run.retrained / "best"))
    print("\nnext, retrain the best configuration and test it:")
    print(f"  {python} -m tuning.retrain {path}")
    print("then ask the model about any picture:")
    question = PreparedData.open(Path(run.setting("data"))).questions_of("validation")[0].text
    print(f"  {python} -m san_core.predict {model} IMAGE {shlex.quote(question)}")


def _program(name: str) -> str:
    """How to call a program of the environment this runs in, as short as it works from here."""
    program = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(program):
        return name
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)


if __name__ == "__main__":
    run_command(main)
