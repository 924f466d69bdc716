"""Runs a command in this process, without Ray, and says what is wrong with how it ended."""

import contextlib
import io
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from results import __main__ as results_command
from results.report import html
from results.run_folder import RunFolder
from san_core.command_line import run_command
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import EpochResult, Training
from tuning import retrain, search
from tuning.execution.checkpoints import Checkpoints
from tuning.options.command_line import parse_options
from tuning.planning.new_search import new_plan
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_search

ACCEPTED = {"new": {0, 1, 2}, "resume": {0, 1, 2}, "results": {0, 2}, "retrain": {0, 1, 2}}
"""Exit codes of each command; 1 means that no trial is complete, or that a score was not reached again."""


def small_search(data: Path) -> RunFolder:
    """A search of three trials in `runs/base` that has ended, without Ray; scores are made up."""
    sizes = ("hidden_size=8", "attention_size=8", "embedding_size=8", "batch_size=32")
    fixed = [part for size in sizes for part in ("--set", size)]
    options = [
        "--data",
        str(data),
        "--run",
        "base",
        "--trials",
        "3",
        "--epochs",
        "2",
        "--confirm",
        "0",
        "--no-dashboard",
    ]
    plan = new_plan(parse_options([*options, "--concurrent", "1", *fixed]))
    study = open_search(plan.run, plan.space, plan.rules, first_trials=plan.first_trials)
    prepared = PreparedData.open(data)
    while live := study.ask():
        number = live.trial.number
        for epoch in (1, 2):
            if not study.report(number, Epoch(epoch, 0.3 + 0.1 * number + 0.01 * epoch, 1.0 * epoch, worker="here")):
                break
        training = Training(TrainingConfig.from_dict({**plan.setup.fixed, **live.settings}), prepared)
        Checkpoints(str(plan.run.checkpoints.resolve() / "search")).save(
            number, training, [EpochResult(2, 1.0, 0.5, 0.1, "")]
        )
        study.finish(number)
    study.record_end()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        _run("resume", ["--resume", "base"])
    return RunFolder(plan.run.path.resolve())


def _run(command: str, arguments: list[str], *, draws: bool = True) -> tuple[int, str]:
    """Runs a command in this process, without Ray; returns its exit code and what it said on stderr.

    Args:
        command: name of the command.
        arguments: its arguments.
        draws: whether reports have plots and attention maps, which take most of the time.
    """
    mains: Mapping[str, Callable[[], int | None]] = {
        "new": search.main,
        "resume": search.main,
        "results": results_command.main,
        "retrain": retrain.main,
    }
    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        for context in (contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO())):
            stack.enter_context(context)
        replaced: list[tuple[Any, str, object]] = [
            (sys, "argv", [command, *arguments]),
            (search, "_run", lambda *_: None),
            (retrain, "run_jobs", lambda *_, **__: sys.exit(0)),
            (html, "get_plotlyjs", lambda: ""),
        ]
        if command == "new":  # the report of a search without trials is always the same
            replaced.append((search, "_write_results", lambda _: None))
        if not draws:
            replaced += [(html, "search_plots", lambda *_: []), (html, "slice_plots", lambda *_: [])]
            replaced.append((search, "write_examples", lambda *_: None))
        for target, name, value in replaced:
            stack.enter_context(patch.object(target, name, value))
        try:
            run_command(mains[command])
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()


def fault_and_code(command: str, arguments: list[str], files: Path, *, draws: bool = True) -> tuple[str, int]:
    """What is wrong with how a command ended, in words, empty for nothing; and the exit code.

    Nothing half-written may be left in the folder `files`; the other arguments are those of `_run`.
    """
    before = _tree(files)
    try:
        code, said = _run(command, arguments, draws=draws)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a fault
        frames = traceback.extract_tb(error.__traceback__)
        ours = [
            frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename
        ]
        return f"{type(error).__name__} in {Path(ours[-1].filename).name} {ours[-1].name} line {ours[-1].lineno}", -1
    if code not in ACCEPTED[command]:
        return f"exit code {code}", code
    lines = [
        line for line in said.splitlines() if not line.startswith(("run folder ", "--prior ", "There is no gallery"))
    ]
    if code == 2 and len(lines) != 1:
        return f"{command}: {len(lines)} lines: {said[:200]!r}", code
    left = [path.name for path in files.rglob("*.partial")]
    if left:
        return f"left {left}", code
    if code == 2 and command == "new" and (made := _tree(files) - before):
        return f"{command}: exit code 2, and made {sorted(made)[:3]}", code
    return "", code


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".lock")}
