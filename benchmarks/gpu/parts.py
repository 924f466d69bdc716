"""The parts of the benchmark, each in a process of its own and with a time limit."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

SHAPE_LIMITS = {"paper": 60.0, "daquar": 50.0, "easy-vqa": 40.0, "paper 1000": 40.0}
OTHER_LIMITS = {"epoch": 50.0, "packed": 50.0}
SEARCH_LIMITS = {
    "cohorts": 60.0,
    "one trial at a time": 70.0,
    "8 packed processes": 60.0,
    "stock Ray Tune, 8 at once": 110.0,
}
LIMITS = {**SHAPE_LIMITS, **OTHER_LIMITS, **SEARCH_LIMITS}
"""Seconds that each part may take, its start included: together less than 10 minutes."""


def run_part(command: Sequence[str], limit: float) -> Iterator[dict[str, Any]]:
    """Runs a command that prints a JSON object a line; yields them as they come, and at last why it ended, if too soon.

    Args:
        command: its first word is the program.
        limit: seconds after which it is killed, with the processes of its session.
    """
    stopped = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:

        def stop() -> None:
            stopped.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit, stop)
        timer.start()
        try:
            for line in process.stdout or ():
                if line.startswith("{"):
                    yield json.loads(line)
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if stopped.is_set():
        yield {"stopped": f"after its {limit:g} s"}
    elif code:
        yield {"stopped": f"failed with exit code {code}"}


def part_command(name: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs one part."""
    return [sys.executable, "-m", "benchmarks.gpu", "--part", name, *arguments]
