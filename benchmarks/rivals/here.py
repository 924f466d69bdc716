"""This project's own search, as `python -m tuning.search` runs it, without fresh seeds at the end."""

import threading
from pathlib import Path

import psutil

from benchmarks.rivals.task import SLOTS, Task
from tuning.search import search as run_search
from tuning.study.live_trial import Epoch
from tuning.study.study import Study

SAMPLED_EVERY = 1.0
"""Seconds between two looks at the workers' CPU time."""


def search(task: Task) -> None:
    """Runs the search; every epoch is noted when the study hears of it."""
    report = Study.report

    def noted(self: Study, number: int, epoch: Epoch) -> bool:
        task.note(trial=number, epoch=epoch.number, score=epoch.score, seconds=epoch.seconds)
        return report(self, number, epoch)

    Study.report = noted  # type: ignore[method-assign]  # a search from outside has no other ear
    threading.Thread(target=_note_cpu_time, args=[task], daemon=True).start()
    run_search(
        data=task.data,
        space=task.space,
        seed=task.seed,
        trials=task.trials,
        epochs=task.epochs,
        confirm=0,
        concurrent=SLOTS,
        cpus_per_trial=1,
        run=Path(task.folder) / "run",
    )


def _note_cpu_time(task: Task) -> None:
    """Notes now and then the CPU seconds that the trials' workers have had."""
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
    """CPU time that a process has had; 0 if it has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
