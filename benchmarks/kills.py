"""`python -m benchmarks.kills`: kills searches at random moments, resumes them, and counts what was lost.

A search that is killed again and again must end with the very trials and scores of one that was left alone.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from results.run_folder import RunFolder, is_own

TARGETS = {"search": "", "worker": "ray::SANWorker", "node": "raylet/raylet"}
"""What can be killed: the search itself, a trial's worker, Ray's node process; with a part of its command line."""

TIMEOUT = 600
"""Seconds after which a search that has not ended counts as hung."""


@dataclass
class Outcome:
    """The result of a search that was killed and resumed.

    Attributes:
        kills: number of kills of each target.
        starts: number of times that the search was started.
        differences: differences from the trials of a search that was not killed; empty if nothing was lost.
    """

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sandbox:
    """A folder where searches run, with a home folder of its own, by which their processes are recognised.

    Attributes:
        folder: the working directory.
        home: an empty home folder.
        arguments: command line arguments of every search.
        longest: longest time between two kills, in seconds.
    """

    folder: Path
    home: Path
    arguments: tuple[str, ...]
    longest: float = 14.0

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts `tuning.search`; its output goes to a file."""
        with (self.folder / "output.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tuning.search", "--no-dashboard", *arguments],
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.home), "SAN_CHECKPOINT_SECONDS": "0"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def process(self, name: str) -> int | None:
        """The id of a process of this sandbox with `name` in its command line; None if there is none."""
        home = f"HOME={self.home}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                command = (process / "cmdline").read_bytes()
                if name.encode() in command and home in (process / "environ").read_bytes().split(b"\0"):
                    return int(process.name)
        return None


def undisturbed(sandbox: Sandbox) -> list[FrozenTrial]:
    """The trials of a search that is not killed."""
    process = sandbox.start("--run", "undisturbed", *sandbox.arguments)
    if process.wait(timeout=TIMEOUT):
        raise RuntimeError((sandbox.folder / "output.log").read_text(errors="replace"))
    return trials_of(sandbox, "undisturbed")


def killed(sandbox: Sandbox, name: str, targets: list[str], rng: random.Random) -> Outcome:
    """Runs a search whose `targets` are killed one after the other, at random times, and which is resumed each time."""
    outcome, left = Outcome(), list(targets)
    while True:
        run = RunFolder(sandbox.folder / "runs" / name)
        begun = run.settings_file.exists()
        process = sandbox.start(*(["--resume", name] if begun else ["--run", name, *sandbox.arguments]))
        outcome.starts += 1
        while left and _kill(sandbox, process, left[0], rng.uniform(0, sandbox.longest)):
            target = left.pop(0)
            outcome.kills[target] += 1
            if target != "worker":  # the search ends with it
                break
        if process.wait(timeout=TIMEOUT) == 0:
            return outcome


def _kill(sandbox: Sandbox, process: subprocess.Popen[bytes], target: str, moment: float) -> bool:
    """Kills a target after `moment` seconds, or as soon as it exists then; False if the search ended before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=moment)
    while process.poll() is None:
        victim = sandbox.process(TARGETS[target]) if TARGETS[target] else process.pid
        if victim is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                return True
        time.sleep(0.05)
    return False


def trials_of(sandbox: Sandbox, name: str) -> list[FrozenTrial]:
    """The trials of a run without rejected duplicates."""
    study = RunFolder(sandbox.folder / "runs" / name).study()
    return [trial for trial in study.get_trials(deepcopy=False) if is_own(trial)]


def differences(expected: list[FrozenTrial], found: list[FrozenTrial]) -> list[str]:
    """All differences between the trials of two searches, each in words."""
    told = [] if len(expected) == len(found) else [f"{len(found)} trials, expected {len(expected)}"]
    for one, other in zip(expected, found, strict=False):
        for what in ("params", "intermediate_values", "state", "value"):
            if getattr(one, what) != getattr(other, what):
                told.append(f"trial {one.number}: {what} {getattr(other, what)}, expected {getattr(one, what)}")
    return told


def main() -> int:
    """Kills and resumes searches on easy-VQA until there were enough kills; prints what was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=50, help="at least so many (default: 50)")
    parser.add_argument("--each", type=int, default=5, help="of one search (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and targets (default: 0)")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = random.Random(options.seed)
    small = ["--epochs", "3", "--set", "hidden_size=64", "--set", "attention_size=32"]
    arguments = ("--trials", "6", "--confirm", "0", "--concurrent", "1", "--max-failures", "99", *small)
    total, lost, starts, searches, began = Counter[str](), 0, 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        sandbox = Sandbox(Path(folder), Path(home), arguments)
        expected = undisturbed(sandbox)
        while total.total() < options.kills:
            outcome = killed(sandbox, f"killed-{searches}", rng.choices(list(TARGETS), k=options.each), rng)
            found = differences(expected, trials_of(sandbox, f"killed-{searches}"))
            searches, starts, lost = searches + 1, starts + outcome.starts, lost + len(found)
            total += outcome.kills
            print(
                f"search {searches}: {dict(outcome.kills)}, {outcome.starts} starts; {found or 'nothing lost'}",
                flush=True,
            )
    targets = ", ".join(f"{name} {count}" for name, count in total.items())
    print(
        f"{total.total()} kills ({targets}) of {searches} searches "
        f"of {len(expected)} trials, {starts} starts, {time.monotonic() - began:.0f} s, seed {options.seed}: "
        f"{lost} differences from the search that was left alone"
    )
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
