"""What a search cost: time of its devices, well spent or not, and room on the disk."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from optuna.trial import FrozenTrial

from results.run_folder import SECONDS, RunFolder
from results.snapshot import COMPLETE, DIVERGED, FAILED, PRUNED, Record, epochs, started, state_of
from results.tables.lanes import lanes


@dataclass(frozen=True)
class Cost:
    """A share of the time that the search's places for trials were there.

    Attributes:
        name: what it went into.
        seconds: of one place.
        useful: whether anything was learned from it.
    """

    name: str
    seconds: float
    useful: bool


def time_spent(record: Record) -> list[Cost]:
    """Where the time of all places for trials went, while at least one of them was at work.

    There are as many places as trials ever ran at once.
    """
    trials = [*record.search, *record.confirmations]
    ended = [trial for trial in trials if started(trial) and trial.datetime_complete]
    places = len({lane for _, lane in lanes(ended)})
    states = {
        state: [t for t in record.search if state_of(t) == state] for state in (COMPLETE, PRUNED, DIVERGED, FAILED)
    }
    lost = [trial for trial in record.confirmations if state_of(trial) == FAILED]
    repeated = [trial for trial in record.confirmations if state_of(trial) != FAILED]
    trained, held = training_seconds(ended), sum((end - start).total_seconds() for start, end in _spans(ended))
    return [
        Cost("trained to the end", training_seconds(states[COMPLETE]), useful=True),
        Cost("stopped early", training_seconds(states[PRUNED]), useful=True),
        Cost("diverged", training_seconds(states[DIVERGED]), useful=True),
        Cost("fresh seeds", training_seconds(repeated), useful=True),
        Cost("failed", training_seconds([*states[FAILED], *lost]), useful=False),
        Cost("starting, saving, waiting", max(0.0, held - trained), useful=False),
        Cost("idle", max(0.0, places * busy_seconds(ended) - held), useful=False),
    ]


def training_seconds(trials: Iterable[FrozenTrial]) -> float:
    """Training and scoring time of the trials' epochs."""
    return sum(float(trial.user_attrs.get(SECONDS, 0)) for trial in trials)


def seconds_saved(record: Record) -> float:
    """What the trials that were stopped early would have needed to run to their end, each at its own pace."""
    stopped = [trial for trial in record.search if state_of(trial) == PRUNED and epochs(trial)]
    full = record.settings.get("fixed", {}).get("epochs", max(map(epochs, record.search), default=0))
    rests = [(training_seconds([trial]) / epochs(trial), max(0, full - epochs(trial))) for trial in stopped]
    return sum(pace * float(rest) for pace, rest in rests)


def device_hours(record: Record) -> str:
    """Training time in hours of the devices it was held on."""
    hours = training_seconds([*record.search, *record.confirmations]) / 3600
    gpus, cores = (record.settings.get(f"{kind}_per_trial") or 0 for kind in ("gpus", "cpus"))
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
    except FileNotFoundError:  # a search that runs has files come and go
        return 0


def _spans(trials: Iterable[FrozenTrial]) -> list[tuple[datetime, datetime]]:
    """From when to when each trial that has ended ran, the first to begin first."""
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
