"""Runs a page's commands in a folder where what they name exists."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.exceptions import NOT_RUN, REFUSED_WITHOUT
from tests.docs.pages import Block, Command, commands, steps
from tests.docs.stand_ins import RUNS, STAND_INS, environment, project
from tests.docs.without_ray import read_arguments, run_without_ray

TUTORIAL = "docs/tutorial.md"
"""The page whose commands run as a reader runs them, each in a process of its own, searches and retraining on Ray."""

PATIENCE = 1800
"""Seconds that a command may take; on a quiet machine none needs a thirtieth of it."""

SERVES = re.compile(r" --live\b| san_core\.demo\b")
"""Commands that go on until Ctrl-C; they get it as soon as they have told their address."""

PYTHON = (".venv/bin/python", "-m")


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    output: str

    def good(self, command: Command) -> bool:
        """Whether the command did what it should, or was refused for what is missing here."""
        refusal = REFUSED_WITHOUT.get(command.bare)
        return self.code == 0 or (refusal is not None and refusal in self.output)


def clone(folder: Path) -> Path:
    """Where a page's commands run: what would be the clone."""
    return folder / "san-tuner"


def run_page(page: Path, folder: Path, finished_run: Callable[[], Path]) -> dict[Command, Outcome]:
    """The outcomes of a page's commands, up to the first that fails.

    Args:
        page: its file.
        folder: an empty one.
        finished_run: the run folder of a search that has ended, in the place of those that the page only names.
    """
    text = "\n".join(command.text for command in commands(page))
    surroundings, sandbox = environment(folder), clone(folder)
    project(sandbox)
    _make_stand_ins(text, sandbox, finished_run)
    outcomes: dict[Command, Outcome] = {}
    for step in steps(page):
        if isinstance(step, Block):
            (sandbox / str(step.file)).write_text(step.body)
            continue
        outcomes[step] = _run_step(step, sandbox, surroundings)
        if not outcomes[step].good(step):
            break
    return outcomes


def _run_step(command: Command, folder: Path, surroundings: Mapping[str, str]) -> Outcome:
    """Runs a command of a page, or only has it read its arguments if it is among `NOT_RUN`."""
    module = module_and_arguments(command.text, folder, surroundings)
    if command.bare in NOT_RUN:
        return Outcome(*read_arguments(module, folder, surroundings)) if module else Outcome(0, "")
    if not module or command.page == TUTORIAL or SERVES.search(command.text):
        return run(command.text, folder, surroundings)
    return Outcome(*run_without_ray(module, folder, surroundings))


def module_and_arguments(text: str, folder: Path, surroundings: Mapping[str, str]) -> list[str]:
    """The module that a command runs with `python -m`, and the arguments as bash passes them; else nothing."""
    if not text.startswith(" ".join(PYTHON)):
        return []
    listed = subprocess.run(
        ["bash", "-c", f'list() {{ printf "%s\\0" "$@"; }}; list {text}'],
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split("\0")[len(PYTHON) : -1]


def _make_stand_ins(text: str, sandbox: Path, finished_run: Callable[[], Path]) -> None:
    for name, make in STAND_INS.items():
        if re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w-])", text):
            make(sandbox / name)
    for name in RUNS:
        if re.search(rf"\b{name}\b", text) and f"--run {name}" not in text:
            not_retrained = shutil.ignore_patterns("retrained", "tested.json")
            shutil.copytree(finished_run(), sandbox / "runs" / name, ignore=not_retrained)


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
