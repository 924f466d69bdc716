"""What a search cost: the time of its devices, useful or wasted, and space on the disk."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from optuna.trial import FrozenTrial

from results import run_folder
from results.run_folder import WORKER, RunFolder
from results.snapshot import COMPLETE, DIVERGED, FAILED, PRUNED, RunSnapshot, epochs, started, state_of

Slot = tuple[str, int]
"""A place of a worker where one trial runs at a time: the worker's name (empty if not recorded), number from 0 on."""


@dataclass(frozen=True)
class Cost:
    """One use of the search's time.

    Attributes:
        name: use of the time.
        seconds: time summed over all slots.
        useful: whether anything was learned from it.
    """

    name: str
    seconds: float
    useful: bool


def time_spent(snapshot: RunSnapshot) -> list[Cost]:
    """What the time of all slots was used for, while at least one trial ran.

    There are as many slots as trials ever ran at once on each worker.
    """
    ended = [trial for trial in snapshot.all_trials if started(trial) and trial.datetime_complete]
    slots = len({slot for _, slot in assign_slots(ended)})
    states = {
        state: [t for t in snapshot.search if state_of(t) == state] for state in (COMPLETE, PRUNED, DIVERGED, FAILED)
    }
    fresh_failed = [trial for trial in snapshot.confirmations if state_of(trial) == FAILED]
    fresh = [trial for trial in snapshot.confirmations if state_of(trial) != FAILED]
    training, running = training_seconds(ended), sum((end - start).total_seconds() for start, end in _spans(ended))
    return [
        Cost("trained to the end", training_seconds(states[COMPLETE]), useful=True),
        Cost("stopped early", training_seconds(states[PRUNED]), useful=True),
        Cost("diverged", training_seconds(states[DIVERGED]), useful=True),
        Cost("fresh seeds", training_seconds(fresh), useful=True),
        Cost("failed", training_seconds([*states[FAILED], *fresh_failed]), useful=False),
        Cost("starting, saving, waiting", max(0.0, running - training), useful=False),
        Cost("idle", max(0.0, slots * busy_seconds(ended) - running), useful=False),
    ]


def assign_slots(trials: Iterable[FrozenTrial], until: datetime | None = None) -> list[tuple[FrozenTrial, Slot]]:
    """Gives each trial that was started a slot in which no other trial ran at the same time.

    A trial gets a slot of its worker; a worker that runs several trials at once has several. Of the free slots it gets
    the one that was free the longest.

    Args:
        trials: trials of one search, or of several studies of it.
        until: end that is assumed for trials that have not ended; None leaves them out.

    Returns:
        The trials with their slots, by start.
    """
    ran = [
        (start, end, trial)
        for trial in trials
        if (start := started(trial)) and (end := trial.datetime_complete or until)
    ]
    ends_by_worker: dict[str, list[datetime]] = {}
    placed = []
    for start, end, trial in sorted(ran, key=lambda each: (each[0], each[2].number)):
        worker = str(trial.user_attrs.get(WORKER, ""))
        ends = ends_by_worker.setdefault(worker, [])
        free = [slot for slot, slot_end in enumerate(ends) if slot_end <= start]
        slot = min(free, key=lambda slot: ends[slot], default=len(ends))
        ends[slot : slot + 1] = [end]
        placed.append((trial, (worker, slot)))
    return placed


def training_seconds(trials: Iterable[FrozenTrial]) -> float:
    """Training and scoring time of the trials' epochs."""
    return sum(float(trial.user_attrs.get(run_folder.SECONDS, 0)) for trial in trials)


def seconds_saved(snapshot: RunSnapshot) -> float:
    """Training time that the pruned trials would still have needed to run all epochs, each at its own speed."""
    pruned = [trial for trial in snapshot.search if state_of(trial) == PRUNED and epochs(trial)]
    full = snapshot.settings.get("fixed", {}).get("epochs", max(map(epochs, snapshot.search), default=0))
    remaining = [(training_seconds([trial]) / epochs(trial), max(0, full - epochs(trial))) for trial in pruned]
    return sum(per_epoch * float(rest) for per_epoch, rest in remaining)


def device_hours(snapshot: RunSnapshot) -> str:
    """Training time of all trials times the GPUs of a trial, or times its cores if it has no GPU, as text."""
    hours = training_seconds(snapshot.all_trials) / 3600
    gpus, cores = (snapshot.settings.get(f"{kind}_per_trial") or 0 for kind in ("gpus", "cpus"))
    return f"{hours * gpus:.3g} GPU hours" if gpus else f"{hours * (cores or 1):.3g} core hours"


def disk_sizes(folder: RunFolder) -> dict[str, int]:
    """Bytes of each file and folder in the run folder, the largest first."""
    sizes = {entry.name: _size(entry) for entry in folder.path.iterdir()}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return _file_size(path)
    return sum(_file_size(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _file_size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # a running search creates and deletes files
        return 0


def _spans(trials: Iterable[FrozenTrial]) -> list[tuple[datetime, datetime]]:
    """Start and end of each trial that has ended, by start."""
    times = ((started(trial), trial.datetime_complete) for trial in trials)
    return sorted((start, end) for start, end in times if start is not None and end is not None)


def busy_seconds(trials: Iterable[FrozenTrial]) -> float:
    """Wall time in which at least one trial ran, from the trials that have ended; pauses between them do not count."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in _spans(trials):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return sum((end - start).total_seconds() for start, end in merged)
