"""`python -m tuning.search`: searches hyperparameters on the machine's GPUs or cores."""

import argparse
import json
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FrozenTrial

from results import summary
from results.report import write
from san_core.command_line import CommandLine, number, run_command, say
from san_core.data.prepare import READERS
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.metrics import METRICS
from san_core.presets import PRESETS
from tuning.engine import machine_cpus, ray_session, run_trials
from tuning.plan import EMBEDDED, Plan, new_plan, resumed_plan
from tuning.progress import show_progress
from tuning.run_folder import SEED, RunFolder, write_json
from tuning.study import Study, best_trial, open_confirmation, open_search


@dataclass(frozen=True)
class TrialCount:
    """A number of trials, or so many more.

    Attributes:
        count: how many.
        more: whether they are added to those of the search that is resumed.
    """

    count: int
    more: bool = False

    def __str__(self) -> str:
        return f"{'+' if self.more else ''}{self.count}"

    def after(self, before: int) -> int:
        """The number in the end, of a search that was to have `before`.

        Raises:
            InputError: if it would be smaller.
        """
        total = before + self.count if self.more else self.count
        if total < before:
            raise InputError(f"--trials must be >= {before}, what the search was started with, or +N, but got {self}")
        return total


def _trial_count(text: str) -> TrialCount:
    return TrialCount(int(number(int, at_least=1)(text.removeprefix("+"))), text.startswith("+"))


def _parse() -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options, and those of them that were given."""
    parser = CommandLine(
        "tuning.search",
        "Searches the hyperparameters of a Stacked Attention Network: Optuna chooses, Ray Tune places and runs.",
    )
    add = parser.add_argument
    add(
        "--data",
        default=EMBEDDED,
        help=f"prepared data set ({', '.join(READERS)}) or folder written by san_core.prepare",
    )
    add("--space", default="san", help="search space, a file in search_spaces/")
    add("--resume", metavar="RUN", help="go on with a search that was interrupted, or extend one that ended")
    add("--trials", type=_trial_count, default=TrialCount(24), help="trials, the baseline included; +N with --resume")
    add("--metric", help=f"the objective: {', '.join(METRICS)} (default: what the data set's literature leads with)")
    add("--preset", help=f"the paper's dimensions: {', '.join(PRESETS)}")
    add("--epochs", type=number(int, at_least=1), help="epochs of a full trial (default: what suits the data set)")
    add("--set", action="append", default=[], metavar="SETTING=VALUE", help="fix a training setting; may be repeated")
    add(
        "--confirm",
        type=number(int, at_least=0),
        default=2,
        metavar="SEEDS",
        help="fresh seeds under which the best and the baseline are run again at the end",
    )
    add("--concurrent", type=number(int, at_least=1), help="most trials at once (default: what fits)")
    add(
        "--gpus-per-trial",
        type=number(float, at_least=0),
        help="GPUs of a trial, fractions share one (default: 1 if any)",
    )
    add(
        "--cpus-per-trial",
        type=number(int, at_least=1),
        help="cores and threads of a trial (default: 1; by GPU: a share)",
    )
    add("--seed", type=number(int, at_least=0, below=2**32), default=0, help="of the sampler and of every training")
    add("--run", help="name of the run under runs/, or a path (default: data set and time)")
    add("--max-failures", type=number(int, at_least=0), default=2, help="how often a trial whose worker dies goes on")
    add("--keep", type=number(int, at_least=0), default=3, help="best finished trials whose checkpoint is kept")
    add("--no-dashboard", action="store_true", help="leave the Ray dashboard out")
    add("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    defaults = vars(parser.parse_args([]))
    return options, {name: value for name, value in vars(options).items() if value != defaults[name]}


def main() -> int:
    """Runs one search from the options to the report; returns the exit code."""
    options, given = _parse()
    plan = resumed_plan(options, given) if options.resume else new_plan(options)
    with plan.run.locked():
        return _search(plan, as_json=options.json)


def _search(plan: Plan, *, as_json: bool) -> int:
    """Runs search and confirmation on Ray, then writes and prints the results."""
    started = time.monotonic()
    run, interrupted = plan.run, False
    say(f"run folder {run.path}; {plan.placement.describe()}")
    if run.journal.exists():
        run.mend_journal()
    study = open_search(run, plan.space, trials=plan.trials, epochs=plan.epochs, seed=plan.seed)
    try:
        with ray_session(
            run.log, cpus=machine_cpus(), gpus=torch.cuda.device_count(), dashboard=plan.shared.signs
        ) as url:
            if url:
                say(f"Ray dashboard: {url} (to log in, paste what this prints: {_program('ray')} get-auth-token)")
            _run(study, plan, f"searching {run.setting('space')} on {run.setting('data_name')}: {plan.trials} trials")
            best = best_trial(study.optuna)
            if plan.confirm and best:
                again = open_confirmation(run, plan.space, best, seeds=plan.confirm, epochs=plan.epochs, seed=plan.seed)
                _run(again, plan, f"confirming best and baseline under {plan.confirm} fresh seeds")
    except KeyboardInterrupt:
        interrupted = True
    best = best_trial(study.optuna)
    _write_results(run, best)
    if interrupted:
        say(f"interrupted; to go on: {_program('python')} -m tuning.search --resume {shlex.quote(str(run.path))}")
        return 130
    _print_results(run, best, time.monotonic() - started, as_json=as_json)
    return 0 if best else 1


def _run(study: Study, plan: Plan, title: str) -> None:
    """Runs what the study has left to run, and shows how it goes."""
    if not study.exhausted:
        with show_progress(study, title, metric=plan.run.setting("metric_title")):
            run_trials(study, plan.shared, plan.limits, plan.run)


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
    print(f"\ntime {int(seconds) // 60} min {int(seconds) % 60} s; report: {run.report}")
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
