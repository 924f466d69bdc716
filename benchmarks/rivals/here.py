"""This project's own search, as `python -m tuning.search` runs it, without fresh seeds at the end."""

import threading
from pathlib import Path
from typing import Any

import psutil

from benchmarks.rivals.task import Task
from tuning.search import search as run_search
from tuning.study.live_trial import Epoch
from tuning.study.study import Study

SAMPLED_EVERY = 1.0
"""Seconds between two measurements of the workers' CPU time."""


def search(task: Task) -> None:
    """Runs the search; notes every epoch when the study records it."""
    record = Study.record

    def noted_record(self: Study, number: int, epoch: Epoch) -> None:
        task.note(trial=number, epoch=epoch.number, score=epoch.score, seconds=epoch.seconds)
        record(self, number, epoch)

    Study.record = noted_record  # type: ignore[method-assign]  # `tuning.search` has no callback for it
    threading.Thread(target=_note_cpu_time, args=[task], daemon=True).start()
    run_search(
        data=task.data,
        space=task.space,
        seed=task.seed,
        trials=task.trials,
        epochs=task.epochs,
        confirm=0,
        **_placed(task),
        run=Path(task.folder) / "run",
    )


def _placed(task: Task) -> dict[str, Any]:
    """The options that say how many trials run at once, and on what."""
    if task.gpus:
        return {"gpus_per_trial": task.gpus, "cohort": task.cohort}
    return {"concurrent": task.slots, "cpus_per_trial": 1, "cohort": task.cohort}


def _note_cpu_time(task: Task) -> None:
    """Notes the CPU seconds of the trials' workers repeatedly."""
    seconds: dict[int, float] = {}
    pause = threading.Event()
    while not pause.wait(SAMPLED_EVERY):
        seconds |= {worker.pid: cpu_seconds(worker) for worker in workers()}
        task.note(cpu=sum(seconds.values()))


def workers() -> list[psutil.Process]:
    """The processes under this one that train trials."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ray::SANWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process so far, in seconds; 0 if it has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
