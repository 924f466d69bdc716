"""`python -m benchmarks.searches`: compares whole searches of this project with those of other programs.

All have the same prepared data, search space, baseline, epochs and trials, and run two trials at once with one thread
each. The searches run one after the other, seed by seed. Time counts from the start of a search's process.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from benchmarks.curves import Search, common_score, summary
from benchmarks.data import EASY_VQA, open_data
from benchmarks.output import add_output_options, output_results
from benchmarks.rivals.task import SLOTS, Task
from san_core.command_line import path, print_message, run_command
from san_core.config import TrainingConfig
from san_core.errors import InputError

OURS = "here"
SYSTEMS = {OURS: "tuning", "ray_tune": "ray", "optuna_alone": "optuna", "syne_tune_local": "syne_tune"}
"""The package that each module of `benchmarks.rivals` needs."""

TITLES = {
    OURS: "this project",
    "ray_tune": "Ray Tune",
    "optuna_alone": "Optuna alone",
    "syne_tune_local": "Syne Tune",
}

MEASURES = {
    "seconds to target": ".0f",
    "ratio": ".1f",
    "seconds to target without start": ".0f",
    "ratio without start": ".1f",
    "trials": ".0f",
    "epochs": ".0f",
    "training share": ".0%",
    "busy cores": ".0%",
    "best": ".2%",
}
"""Rows of the tables: figures of `benchmarks.curves.summary`, and how they are printed."""

ROOT = Path(__file__).parents[1]


def run(system: str, task: Task, seconds: float, log: Path) -> None:
    """Runs one search in a process of its own, for at most `seconds`; the log gets its name when it is complete.

    Raises:
        InputError: if the search fails; its output is in a file beside the log.
    """
    partial, output = log.with_suffix(".partial"), log.with_suffix(".out")
    partial.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, output.open("wb") as printed:
        task = replace(task, log=str(partial.resolve()), folder=folder)
        task.save(Path(folder) / "given.json")
        task.note(**{**head(system, task, seconds), "load": os.getloadavg()})
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.rivals", system, str(Path(folder) / "given.json")],
            cwd=folder,
            env=_environment(folder, gpu=task.gpus > 0),
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = 0
        finally:
            _kill(process)
    if code:
        raise InputError(f"{TITLES[system]} failed (exit code {code}); {output} has what it printed")
    partial.rename(log)
    output.unlink()


def head(system: str, task: Task, seconds: float) -> dict[str, Any]:
    """The first entry of a log, which identifies a search: two searches with equal entries are the same."""
    kept = {name: value for name, value in asdict(task).items() if name not in {"log", "folder"}}
    return {"system": system, "limit": seconds, **kept}


def _environment(folder: str, *, gpu: bool) -> dict[str, str]:
    """Environment variables of a search: one thread, no GPU unless wanted, the modules of this checkout."""
    own = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", **({} if gpu else {"CUDA_VISIBLE_DEVICES": ""})}
    return {**os.environ, **own, "PYTHONPATH": str(ROOT), "SYNETUNE_FOLDER": folder}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills a process and its descendants; does nothing if the search has ended, since it has ended them itself."""
    if process.poll() is not None:
        return
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(family, timeout=30)


def kept(log: Path, expected: dict[str, Any]) -> bool:
    """Whether there is a log of an earlier call.

    Raises:
        InputError: if it is the log of another search.
    """
    if not log.exists():
        return False
    found = Search.read(log).head
    if differing := [name for name, value in expected.items() if found.get(name) != value]:
        name = differing[0]
        raise InputError(
            f"{log} is of a search with {name} {found.get(name)!r}, but this is one with {expected[name]!r}; "
            "choose another --logs folder or delete it"
        )
    return True


def _search_all(options: argparse.Namespace, folder: Path, systems: Sequence[str]) -> dict[str, list[Search]]:
    """All searches on one data set, by system, in the order of the seeds; those with a log are not run again."""
    data = open_data(folder)
    epochs = options.epochs or TrainingConfig.from_dict(data.training_defaults).epochs
    logs = options.logs / folder.resolve().name
    logs.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Search]] = {system: [] for system in systems}
    for seed in range(options.seeds):
        task = Task(str(data.folder), options.space, seed, options.trials, epochs, log="", folder="")
        for system in systems:
            log = logs / f"{system}-{seed}.jsonl"
            if not kept(log, head(system, task, options.seconds)):
                print_message(f"{time.strftime('%H:%M:%S')}  {TITLES[system]} on {logs.name}, seed {seed}")
                run(system, task, options.seconds, log)
            found[system].append(Search.read(log))
    return found


def compare(found: dict[str, list[Search]], seconds: float, target: float | None = None) -> list[dict[str, Any]]:
    """Results as rows, one for each system.

    Args:
        found: searches of each system, this project included, in the order of the seeds.
        seconds: most that a search had.
        target: score; the time to reach it is compared. None takes the highest score that all reach.
    """
    chosen = common_score([search for each in found.values() for search in each]) if target is None else target
    times = [seconds / 8, seconds / 4, seconds / 2, seconds]
    return [
        {"system": system, **summary(each, found[OURS], target=chosen, times=times, slots=SLOTS)}
        for system, each in found.items()
    ]


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    """Results as a table with a column for each system."""
    title = f"{name}, medians of {rows[0]['seeds']} seed(s); target {rows[0]['target']:.2%} on the validation split"
    table = Table("", *(TITLES[row["system"]] for row in rows), title=title)
    for measure, form in MEASURES.items():
        table.add_row(measure, *(_show(row[measure], form) for row in rows))
    for at in rows[0]["best at"]:
        table.add_row(f"best after {at} s", *(_show(row["best at"][at], ".2%") for row in rows))
    return table


def _show(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches", description=main.__doc__)
    add = parser.add_argument
    add(
        "--data",
        type=path,
        nargs="+",
        default=[EASY_VQA],
        help=f"prepared data sets (default: {EASY_VQA}, made if missing)",
    )
    add("--space", default="san", help="search space (default: san)")
    add("--seeds", type=int, default=3, help="searches of each system on each data set (default: 3)")
    add("--seconds", type=float, default=900, help="that a search may take (default: 900)")
    add("--trials", type=int, default=24, help="of a search (default: 24)")
    add("--epochs", type=int, help="of a full trial (default: what suits the data)")
    add("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help=f"besides {OURS} (default: all)")
    add("--target", type=float, help="score whose reaching is timed (default: the highest that all reach)")
    add("--logs", type=path, default=Path("benchmarks-out/searches"), help="what is there is not run again")
    add_output_options(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares whole searches: time until a validation score, and best score at equal times."""
    options = _options(arguments)
    if missing := [s for s in options.systems if importlib.util.find_spec(SYSTEMS[s]) is None]:
        print_message(f"left out, since not installed: {', '.join(missing)}; pip install '.[bench]' brings all")
    systems = [s for s in SYSTEMS if s == OURS or (s in options.systems and s not in missing)]
    rows, tables = [], []
    for folder in options.data:
        found = compare(_search_all(options, folder, systems), options.seconds, options.target)
        rows += [{"data": folder.resolve().name, **row} for row in found]
        tables.append(_table(folder.resolve().name, found))
    output_results(options, rows, tables)
    return 0


if __name__ == "__main__":
    run_command(main)
