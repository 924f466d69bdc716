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
"""Seconds after the end of a search in which its last process must have ended."""

_START = "SAN_CHAOS_START"
"""Environment variable that numbers the starts of searches."""


@dataclass
class Sandbox:
    """A folder where searches run, with a home folder of its own, by which their processes are recognised.

    Attributes:
        folder: the working directory.
        home: an empty home folder.
        arguments: command line arguments of every search.
        longest: longest time from a start to the first disturbance, in seconds.
        starts: number of searches started so far.
        environment: further environment variables of every search.
    """

    folder: Path
    home: Path
    arguments: tuple[str, ...]
    longest: float = 14.0
    starts: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """File with the output of all searches."""
        return self.folder / "output.log"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts `tuning.search`; its output goes to the log."""
        self.starts += 1
        own = {"HOME": str(self.home), "SAN_CHECKPOINT_SECONDS": "0", _START: str(self.starts)}
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tuning.search", "--no-dashboard", *arguments],
                cwd=self.folder,
                env={**os.environ, **own, **self.environment, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def process(self, name: str) -> int | None:
        """The id of a process of the last start with `name` in the beginning of its command line; None without one."""
        last = f"{_START}={self.starts}".encode()
        for pid, command, environment in self._processes():
            if name in command and last in environment:
                return pid
        return None

    def processes(self) -> dict[int, str]:
        """The beginnings of the command lines of all processes of this sandbox, by process id."""
        return {pid: command for pid, command, _ in self._processes()}

    def _processes(self) -> list[tuple[int, str, list[bytes]]]:
        home, found = f"HOME={self.home}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                environment = (process / "environ").read_bytes().split(b"\0")
                if home in environment:
                    command = (process / "cmdline").read_bytes().split(b"\0")[:3]
                    found.append((int(process.name), b" ".join(command).decode(errors="replace").strip(), environment))
        return found

    def wait_until_clear(self, seconds: float) -> list[str]:
        """Waits until no process is left; those that are left after some seconds are killed, and returned."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
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
