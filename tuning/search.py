"""`python -m tuning.search`: searches hyperparameters on the machine's GPUs or cores."""

import json
import shlex
import shutil
import sys
import time
from pathlib import Path

from optuna.trial import FrozenTrial

from results import summary
from results.report import write
from san_core.command_line import run_command, say
from san_core.data.prepared import PreparedData
from tuning.confirm import confirm, run_study
from tuning.engine import Listeners, ray_session
from tuning.gallery import write_gallery
from tuning.notify import Notifier, conceal_url
from tuning.open_study import open_search
from tuning.options import parse_options
from tuning.plan import Plan, new_plan, resumed_plan
from tuning.run_folder import SEED, RunFolder, write_json
from tuning.study import best_trial


def main() -> int:
    """Runs one search from the options to the report; returns the exit code."""
    options, given = parse_options()
    if options.notify:
        conceal_url()
    plan = resumed_plan(options, given) if options.resume else new_plan(options)
    with plan.run.locked(), Notifier(options.notify, plan.run) as notifier:
        code = _search(plan, notifier, address=options.address, as_json=options.json)
        notifier.tell_end(code)
        return code


def _search(plan: Plan, notifier: Notifier, *, address: str | None, as_json: bool) -> int:
    """Runs search and confirmation on Ray, then writes and prints the results."""
    started = time.monotonic()
    run, interrupted = plan.run, False
    say(f"run folder {run.path}; {plan.placement.describe()}")
    run.mend_journal()
    study = open_search(run, plan.space, plan.rules, beforehand=plan.beforehand)
    listeners = Listeners(notifier.watch(study), notifier.tell_death)
    try:
        with ray_session(run.log, dashboard=plan.shared.signs, address=address) as url:
            if url:
                say(f"Ray dashboard: {url} (to log in, paste what this prints: {_program('ray')} get-auth-token)")
            run_study(study, plan, f"searching {run.setting('space')} on {run.setting('data_name')}", listeners)
            say(f"the search is over: {study.over}")
            study.close()
            best = best_trial(study.optuna)
            if plan.confirm and best:
                confirm(plan, [best.number], plan.confirm, Listeners(on_death=notifier.tell_death))
    except KeyboardInterrupt:
        interrupted = True
    best = best_trial(study.optuna)
    if best and not interrupted:
        write_gallery(run)
    _write_results(run, best)
    if interrupted:
        say(f"interrupted; to go on: {_program('python')} -m tuning.search --resume {shlex.quote(str(run.path))}")
        return 130
    _print_results(run, best, time.monotonic() - started, as_json=as_json)
    return 0 if best else 1


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
    question = PreparedData.open(Path(run.setting("data"))).asked("validation")[0].text
    print(f"  {python} -m san_core.predict {model} IMAGE {shlex.quote(question)}")


def _program(name: str) -> str:
    """How to call a program of the environment this runs in, as short as it works from here."""
    program = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(program):
        return name
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)


if __name__ == "__main__":
    run_command(main)
