"""What happens to a search at a random moment: the kinds of events, and what each does."""

import atexit
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.chaos.disk import Disk
from benchmarks.chaos.sandbox import Sandbox
from results.run_folder import RunFolder

PROCESSES = {
    "search": "",
    "worker": "ray::SANWorker",
    "raylet": "raylet/raylet",
    "gcs": "gcs/gcs_server",
    "log-monitor": "log_monitor.py",
}
"""Processes that are killed or stopped, with a part of the command line; the search itself is known by its id."""

SIGNALS = {
    **{f"kill-{name}": name for name in PROCESSES},
    **{f"stop-{name}": name for name in PROCESSES},
    "terminate-search": "search",
}
"""Kinds of events that are a signal, and to which process: SIGKILL, SIGSTOP for some seconds, or SIGTERM."""

DISK = {"full-disk": Disk.fill, "power-cut": Disk.shut_down}
"""Kinds of events that need a file system of its own. It is repaired when the search has ended."""

CLOCK = Path(__file__).with_name("clock_back.c")
"""A library that sets the clock of the programs that load it an hour back."""


@dataclass
class Victim:
    """A running search, and what can be done to it.

    Attributes:
        sandbox: where it runs.
        process: the search.
        disk: file system of the run folder; None if it has none of its own.
        stop_seconds: how long a process is stopped.
    """

    sandbox: Sandbox
    process: subprocess.Popen[bytes]
    disk: Disk | None = None
    stop_seconds: float = 20.0

    def wait_until_it_trains(self) -> None:
        """Returns as soon as there is a worker, or the search has ended."""
        self._wait_for(PROCESSES["worker"])

    def ends_within(self, seconds: float) -> bool:
        """Waits some seconds, or until the search has ended if that is sooner; whether it has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=seconds)
        return self.process.poll() is not None

    def suffers(self, kind: str) -> bool:
        """Lets an event happen, as soon as the process that it needs exists; False if the search ended before."""
        if kind in DISK:
            if self.disk:
                DISK[kind](self.disk)
            return self.disk is not None
        what, name = kind.partition("-")[0], SIGNALS[kind]
        while (pid := self._wait_for(PROCESSES[name])) is not None:
            with contextlib.suppress(ProcessLookupError):
                self._signal(what, pid)
                return True
        return False

    def _wait_for(self, name: str) -> int | None:
        """The id of a process, as soon as it exists; None if the search ended before."""
        while self.process.poll() is None:
            if pid := self.sandbox.process(name) if name else self.process.pid:
                return pid
            time.sleep(0.2)
        return None

    def _signal(self, what: str, pid: int) -> None:
        if what != "stop":
            os.kill(pid, signal.SIGKILL if what == "kill" else signal.SIGTERM)
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self.stop_seconds)
        finally:
            os.kill(pid, signal.SIGCONT)


@dataclass
class Preparation:
    """What has happened to a search between its last end and its next start.

    Attributes:
        run: the run folder; it may not exist yet.
        rng: random numbers.
        environment: environment variables of the next start.
    """

    run: RunFolder
    rng: random.Random
    environment: dict[str, str] = field(default_factory=dict)

    def tear_journal(self) -> bool:
        """Cuts the last line of the journal; False if there is none."""
        content = self.run.journal.read_bytes() if self.run.journal.is_file() else b""
        if not content:
            return False
        last = content.splitlines(keepends=True)[-1]
        os.truncate(self.run.journal, len(content) - self.rng.randint(1, len(last)))
        return True

    def damage_checkpoint(self) -> bool:
        """Cuts the newest checkpoint to nothing or half; False if there is none."""
        checkpoints = sorted(self.run.checkpoints.glob("*/*.pt"), key=lambda path: path.stat().st_mtime)
        if not checkpoints:
            return False
        os.truncate(checkpoints[-1], self.rng.choice([0, checkpoints[-1].stat().st_size // 2]))
        return True

    def set_clock_back(self) -> bool:
        """The next start sees a clock that is an hour behind; the one after that, the true time again."""
        self.environment["LD_PRELOAD"] = clock_library()
        return True

    def lower_memory_limit(self) -> bool:
        """During the next start, Ray ends workers when little more memory is in use on this machine than is now."""
        share = memory_share() + self.rng.uniform(0.0, 0.06)
        self.environment["RAY_memory_usage_threshold"] = f"{min(share, 1.0):.3f}"
        return True


BETWEEN_STARTS: dict[str, Callable[[Preparation], bool]] = {
    "torn-journal": Preparation.tear_journal,
    "damaged-checkpoint": Preparation.damage_checkpoint,
    "clock-back": Preparation.set_clock_back,
    "low-memory": Preparation.lower_memory_limit,
}
"""Kinds of events between two starts. A search that runs is killed before; that is no event of its own."""

ENDING = {"kill-search", "kill-raylet", "kill-gcs", "terminate-search", "power-cut", "kill-head-raylet", "kill-head"}
"""Kinds of events that a search ends with, those on a cluster included. The next one waits for its next start."""

NEEDS_A_START = ENDING | set(BETWEEN_STARTS)
"""Kinds of events that are followed by a start of the search."""

KINDS = (*SIGNALS, *DISK, *BETWEEN_STARTS)
"""All kinds of events."""


def impossible_kinds(disk: Disk) -> dict[str, str]:
    """Kinds of events that cannot be made here, and why."""
    reasons = {}
    if not disk.type:
        reasons["full-disk"] = "no file system can be mounted here"
    if disk.type != "ext4":
        reasons["power-cut"] = "no ext4 file system can be mounted from a file here"
    if not shutil.which("cc"):
        reasons["clock-back"] = "there is no C compiler"
    return reasons


@cache
def clock_library() -> str:
    """Path of the library made from `CLOCK`; it is deleted when this program ends."""
    folder = tempfile.mkdtemp(prefix="chaos-clock-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = f"{folder}/clock_back.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, str(CLOCK), "-ldl"], check=True)
    return library


def memory_share() -> float:
    """The share of this machine's memory that is in use."""
    text = Path("/proc/meminfo").read_text()
    total, free = (int(re.findall(rf"{name}: +(\d+)", text)[0]) for name in ("MemTotal", "MemAvailable"))
    return 1 - free / total
