"""Whole searches on one GPU: cohorts, one trial at a time, packed processes, and stock Ray Tune."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.curves import Search
from benchmarks.data import open_data
from benchmarks.rivals.task import Task
from benchmarks.searches import run

TARGET = 0.99
"""Validation accuracy whose reaching is timed."""

SLOTS = 8
"""Trials at once where processes share the GPU."""

PAUSE = 0.1
"""Epochs that the log has in so many seconds were reported together."""


@dataclass(frozen=True)
class Way:
    """A way to search.

    Attributes:
        system: module of `benchmarks.rivals`.
        gpus: share of the GPU that a worker gets.
        slots: workers at once.
        cohort: trials that a worker trains together.
    """

    system: str
    gpus: float
    slots: int
    cohort: int | str


WAYS: Mapping[str, Way] = {
    "cohorts": Way("here", 1.0, 1, 64),
    "one trial at a time": Way("here", 1.0, 1, 1),
    "8 packed processes": Way("here", 1 / SLOTS, SLOTS, 1),
    "stock Ray Tune, 8 at once": Way("ray_tune", 1 / SLOTS, SLOTS, 1),
}


def search_rows(name: str, task: Task, limit: float) -> Iterator[dict[str, Any]]:
    """Runs a search in a process of its own, for at most `limit` seconds, and tells what it reached.

    Args:
        name: of the way.
        task: its fields `slots`, `gpus` and `cohort` follow from the way, where it has GPUs; without, only `cohort`.
        limit: in seconds.
    """
    way = WAYS[name]
    if task.gpus:
        task = replace(task, gpus=way.gpus, slots=way.slots)
    questions = len(open_data(Path(task.data)).split("train"))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        started = time.monotonic()
        run(way.system, replace(task, cohort=way.cohort), limit, log)
        seconds = time.monotonic() - started
        found = Search.read(log)
    reached = found.time_to(TARGET)
    yield {
        "search": name,
        "seconds to the end": seconds if seconds < limit else None,
        f"seconds to {TARGET:.0%}": reached if reached < limit else None,
        "trials": len({epoch.trial for epoch in found.epochs}),
        "epochs": len(found.epochs),
        "best": found.best_by(limit),
        "examples/s": rate(found, questions),
    }


def rate(search: Search, questions: int) -> float | None:
    """Training questions per second from the first report to the last; None if there was but one report.

    The epochs of the first report are left out, since the log does not say when they began.
    """
    if not search.epochs:
        return None
    first, last = search.epochs[0].at, search.epochs[-1].at
    later = [epoch for epoch in search.epochs if epoch.at > first + PAUSE]
    return questions * len(later) / (last - first) if later else None
