"""Runs a page's commands in a folder where what they name exists."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from tests.docs.exceptions import NOT_RUN, REFUSED_WITHOUT
from tests.docs.pages import Block, Command, commands, steps
from tests.docs.stand_ins import RUNS, STAND_INS, cluster, environment, project

PATIENCE = 1800
"""Seconds that a command may take; on a quiet machine none needs a thirtieth of it."""

SERVES = re.compile(r" --live\b")
"""Commands that go on until Ctrl-C; they get it as soon as they have told their address."""

READ_ARGUMENTS = """
import argparse, runpy, sys
for name in ("parse_args", "parse_intermixed_args"):
    def parse(*arguments, _original=getattr(argparse.ArgumentParser, name)):
        _original(*arguments)
        sys.exit(0)
    setattr(argparse.ArgumentParser, name, parse)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module up to where it has read its arguments."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    output: str

    def good(self, command: Command) -> bool:
        """Whether the command did what it should, or was refused for what is missing here."""
        refusal = REFUSED_WITHOUT.get(command.bare)
        return self.code == 0 or (refusal is not None and refusal in self.output)


class SmallRun:
    """A run folder that a small search made, once for all pages that need one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()

    def copy_to(self, place: Path) -> None:
        with self._lock:
            if not self._folder.exists():
                search = "-m tuning.search --trials 2 --epochs 1 --confirm 0 --no-dashboard --run made"
                made = run(f"{shlex.quote(sys.executable)} {search}", self._folder, environment(self._folder))
                assert made.code == 0, made.output
        shutil.copytree(self._folder / "runs" / "made", place)


def run_page(page: Path, folder: Path, small_run: SmallRun) -> dict[Command, Outcome]:
    """The outcomes of a page's commands, up to the first that fails."""
    text = "\n".join(command.text for command in commands(page))
    surroundings, sandbox = environment(folder), folder / "san-tuner"
    project(sandbox)
    _make_stand_ins(text, sandbox, small_run)
    outcomes: dict[Command, Outcome] = {}
    with cluster(surroundings) if "--address" in text else nullcontext("") as address:
        surroundings |= {"RAY_ADDRESS": address} if address else {}
        for step in steps(page):
            if isinstance(step, Block):
                (sandbox / str(step.file)).write_text(step.body)
                continue
            act = read_arguments if step.bare in NOT_RUN else run
            outcomes[step] = act(step.text, sandbox, surroundings)
            if not outcomes[step].good(step):
                break
    return outcomes


def _make_stand_ins(text: str, sandbox: Path, small_run: SmallRun) -> None:
    for name, make in STAND_INS.items():
        if re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w-])", text):
            make(sandbox / name)
    for name in RUNS:
        if re.search(rf"\b{name}\b", text) and f"--run {name}" not in text:
            small_run.copy_to(sandbox / "runs" / name)


def run(text: str, folder: Path, surroundings: Mapping[str, str]) -> Outcome:
    """Runs a command in bash; one that serves is ended by Ctrl-C, which is then how it ends well."""
    process = subprocess.Popen(
        ["bash", "-c", text],
        cwd=folder,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = ""
    with process:
        assert process.stdout is not None
        serves = bool(SERVES.search(text))
        while serves and "http://" not in said and (line := process.stdout.readline()):
            said += line
        if serves:
            os.killpg(process.pid, signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            rest = f"it took more than {PATIENCE} s"
    stopped_by_us = serves and "http://" in said and process.returncode in {130, -signal.SIGINT}
    return Outcome(0 if stopped_by_us else process.returncode, said + rest)


def read_arguments(text: str, folder: Path, surroundings: Mapping[str, str]) -> Outcome:
    """Lets a command of Python's read its arguments, and no more; does nothing with other commands."""
    _, python, arguments = text.partition("python -m ")
    if not python:
        return Outcome(0, "")
    words = [sys.executable, "-c", READ_ARGUMENTS, *shlex.split(arguments, comments=True)]
    return run(shlex.join(words), folder, surroundings)
