"""A folder where searches run, and their processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial

from results.run_folder import RunFolder, is_own

TIMEOUT = 300
"""Seconds after the last disturbance after which a search that has not ended counts as hung."""

SECONDS_TO_CLEAR = 30
"""Seconds after an end of a search in which its processes must have ended."""

SECONDS_OF_AGENTS = 90
"""The same of Ray's agents: if all of Ray was killed, they try for a minute to tell that to a Ray that is dead."""

AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")

_START = "SAN_CHAOS_START"
"""Environment variable with the home folder and the number of the start. It comes last: Ray writes the names of its
processes over those that come first."""


@dataclass
class Sandbox:
    """A folder where searches run, with a home folder of its own, by which their processes are recognised.

    Attributes:
        folder: the working directory.
        home: an empty home folder.
        arguments: command line arguments of every search.
        longest: longest time from a start to the first disturbance, in seconds.
        starts: number of searches started so far.
        late: seconds after which a process may hear that a search has ended.
        environment: further environment variables of every search.
    """

    folder: Path
    home: Path
    arguments: tuple[str, ...]
    longest: float = 14.0
    starts: int = 0
    late: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """File with the output of all searches."""
        return self.folder / "output.log"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts `tuning.search`; its output goes to the log."""
        self.starts += 1
        own = {"HOME": str(self.home), "SAN_CHECKPOINT_SECONDS": "0"}
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tuning.search", "--no-dashboard", *arguments],
                cwd=self.folder,
                env={**os.environ, **own, **self.environment, **environment, _START: f"{self.home}#{self.starts};"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def process(self, name: str) -> int | None:
        """The id of a process of the last start with `name` in the beginning of its command line; None without one."""
        return next((pid for pid, command in self._processes(self._mark(self.starts)) if name in command), None)

    def processes(self, *, agents: bool = True) -> dict[int, str]:
        """The beginnings of the command lines of the sandbox's processes by id, with or without Ray's agents."""
        found = self._processes(self._mark())
        return {pid: command for pid, command in found if agents or not command.startswith(AGENTS)}

    def _mark(self, start: int | None = None) -> str:
        """What the variable of a start begins with, or those of all."""
        return f"{_START}={self.home}#{f'{start};' if start else ''}"

    def _processes(self, mark: str) -> list[tuple[int, str]]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                if any(variable.startswith(mark.encode()) for variable in _list(process, "environ")):
                    command = b" ".join(_list(process, "cmdline")[:3])
                    found.append((int(process.name), command.decode(errors="replace").strip()))
        return found

    def wait_until_clear(self, seconds: float, *, agents: bool = True) -> list[str]:
        """Waits until no process is left, see `processes`; those left after some seconds are killed, and returned."""
        deadline = time.monotonic() + seconds
        while (left := self.processes(agents=agents)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return list(left.values())

    def run_folder(self, name: str) -> RunFolder:
        """The folder of a run, by its name or path."""
        return RunFolder(self.folder / "runs" / name)


def undisturbed(sandbox: Sandbox, *arguments: str) -> list[FrozenTrial]:
    """The trials of a search that is left alone.

    Raises:
        RuntimeError: if it fails.
    """
    process = sandbox.start("--run", "undisturbed", *sandbox.arguments, *arguments)
    if process.wait(timeout=TIMEOUT):
        raise RuntimeError(sandbox.log.read_text(errors="replace"))
    return trials_of(sandbox, "undisturbed")


def trials_of(sandbox: Sandbox, name: str) -> list[FrozenTrial]:
    """The trials of a run without rejected duplicates."""
    return [trial for trial in sandbox.run_folder(name).study().get_trials(deepcopy=False) if is_own(trial)]


def _list(process: Path, name: str) -> list[bytes]:
    """A file of a process in /proc whose entries end in a zero byte."""
    return (process / name).read_bytes().split(b"\0")
