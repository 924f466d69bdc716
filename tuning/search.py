"""`python -m tuning.search`: searches hyperparameters on the machine's GPUs or cores."""

import argparse
import json
import shlex
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FrozenTrial

from results import summary
from results.report import write
from san_core.command_line import CommandLine, number, run_command, say
from san_core.config import TrainingConfig
from san_core.data.prepare import READERS, prepare
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.evaluation import objective
from san_core.metrics import METRICS, Metric, metric_called
from san_core.presets import PRESETS, preset
from san_core.training import build_model
from search_spaces import SearchSpace, SearchSpaceError, load
from tuning.engine import machine_cpus, ray_session, run_trials
from tuning.environment import describe_environment
from tuning.placement import Placement, place
from tuning.progress import show_progress
from tuning.run_folder import SEED, RunFolder, write_json
from tuning.study import best_trial, start_confirmation, start_search
from tuning.trial import Shared

DATA = Path("data")
"""Where prepared data sets are."""

EMBEDDED = "easy-vqa"
"""The data set that comes with its package and is prepared where it is missing."""


def _parse() -> argparse.Namespace:
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
    add("--trials", type=number(int, at_least=1), default=24, help="trials, the baseline included")
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
    add("--no-dashboard", action="store_true", help="leave the Ray dashboard out")
    add("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args()


def main() -> int:
    """Runs one search from the options to the report; returns the exit code."""
    options = _parse()
    space = _load_space(options.space)
    chosen = _chosen_settings(options, space)
    if options.metric:
        metric_called(options.metric)
    path = RunFolder.locate(options.run, Path(options.data).resolve().name)
    RunFolder.check_available(path)
    cpus, gpus = machine_cpus(), torch.cuda.device_count()
    placement = place(
        machine_cpus=cpus,
        machine_gpus=gpus,
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=options.gpus_per_trial,
        concurrent=options.concurrent,
    )
    data = _open_data(options.data)
    metric = objective(data, options.metric)
    config = TrainingConfig.from_dict({**data.training_defaults, **chosen, **space.baseline})
    build_model(config, data)  # settings that do not go with the data are told of now
    fixed = {name: value for name, value in config.to_dict().items() if name not in {*space.parameters, "seed"}}
    run = RunFolder.create(path, _settings(options, space, fixed, data, placement, metric), describe_environment(cpus))
    shared = Shared(
        str(data.folder), metric.name, fixed, placement.cpus, placement.gpus, signs=not options.no_dashboard
    )
    return _search(options, space, shared, placement, run)


def _search(
    options: argparse.Namespace, space: SearchSpace, shared: Shared, placement: Placement, run: RunFolder
) -> int:
    """Runs search and confirmation on Ray, then writes and prints the results."""
    epochs, title = int(shared.fixed["epochs"]), run.setting("metric_title")
    data = run.setting("data_name")
    started = time.monotonic()
    interrupted = False
    say(f"run folder {run.path}; {placement.describe()}")
    study = start_search(run, space, trials=options.trials, epochs=epochs, seed=options.seed)
    try:
        with ray_session(run.log, cpus=machine_cpus(), gpus=torch.cuda.device_count(), dashboard=shared.signs) as url:
            if url:
                say(f"Ray dashboard: {url} (to log in, paste what this prints: {_program('ray')} get-auth-token)")
            with show_progress(study, f"searching {options.space} on {data}: {options.trials} trials", metric=title):
                run_trials(study, shared, placement.slots, run)
            best = best_trial(study.optuna)
            if options.confirm and best:
                again = start_confirmation(run, space, best, seeds=options.confirm, epochs=epochs, seed=options.seed)
                heading = f"confirming best and baseline under {options.confirm} fresh seeds"
                with show_progress(again, heading, metric=title):
                    run_trials(again, shared, placement.slots, run)
    except KeyboardInterrupt:
        interrupted = True
    best = best_trial(study.optuna)
    _write_results(run, best)
    if interrupted:
        say(f"interrupted; what had finished is safe: {_program('python')} -m results {shlex.quote(str(run.path))}")
        return 130
    _print_results(options, run, best, time.monotonic() - started)
    return 0 if best else 1


def _load_space(name: str) -> SearchSpace:
    try:
        space = load(name)
    except SearchSpaceError as error:
        raise InputError(str(error)) from error
    searchable = [field for field in TrainingConfig.field_names() if field not in {"epochs", "seed"}]
    if unknown := sorted(set(space.parameters) - set(searchable)):
        raise InputError(
            f"search space {name!r} searches {', '.join(unknown)}, which it cannot; accepted: {', '.join(searchable)}"
        )
    return space


def _chosen_settings(options: argparse.Namespace, space: SearchSpace) -> dict[str, Any]:
    """The training settings the user fixed, checked before anything is computed."""
    chosen: dict[str, Any] = preset(options.preset) if options.preset else {}
    for text in options.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set takes SETTING=VALUE, but got {text!r}")
        if name in space.parameters or name == "seed":
            raise InputError(f"--set cannot fix {name}: the search chooses it")
        chosen[name] = _parse_value(value)
    if options.epochs:
        chosen["epochs"] = options.epochs
    TrainingConfig.from_dict(chosen)
    return chosen


def _parse_value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _open_data(name: str) -> PreparedData:
    if name == EMBEDDED:
        return prepare(name, DATA / name)
    folder = DATA / name if name in READERS else Path(name)
    if name in READERS and not folder.is_dir():
        raise InputError(f"data set {name} is not prepared; first: python -m san_core.prepare {name} --root FOLDER")
    if not folder.is_dir():
        raise InputError(
            f"unknown data set {name!r}; accepted: {EMBEDDED}, a folder written by san_core.prepare, or the name of a "
            f"data set prepared in {DATA}/: {', '.join(READERS)}"
        )
    return PreparedData.open(folder)


def _settings(
    options: argparse.Namespace,
    space: SearchSpace,
    fixed: dict[str, Any],
    data: PreparedData,
    placement: Placement,
    metric: Metric,
) -> dict[str, Any]:
    """What the run folder remembers of how the search was asked for."""
    return {
        "command": f"python -m tuning.search {shlex.join(sys.argv[1:])}".strip(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "data": str(data.folder),
        "data_name": data.name,
        "data_fingerprint": data.fingerprint,
        "metric": metric.name,
        "metric_title": metric.title,
        "validation_questions": data.manifest["counts"]["validation"],
        "space": options.space,
        "baseline": dict(space.baseline),
        "fixed": fixed,
        "trials": options.trials,
        "confirm": options.confirm,
        "seed": options.seed,
        "sampler": "tpe",
        "pruner": "halving",
        "concurrent": placement.slots,
        "cpus_per_trial": placement.cpus,
        "gpus_per_trial": placement.gpus,
    }


def _write_results(run: RunFolder, best: FrozenTrial | None) -> None:
    """Writes the tables and the report, and the best configuration if there is one."""
    write(run)
    if best:
        settings = {**run.settings["fixed"], **best.params, "seed": best.user_attrs[SEED]}
        write_json(run.best_file, {"trial": best.number, "score": best.value, "settings": settings})


def _print_results(options: argparse.Namespace, run: RunFolder, best: FrozenTrial | None, seconds: float) -> None:
    if options.json:
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
