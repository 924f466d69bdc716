"""Which trial ran where: lanes of a timeline."""

from collections.abc import Iterable
from datetime import datetime

from optuna.trial import FrozenTrial

from results.run_folder import WORKER
from results.snapshot import started

Lane = tuple[str, int]
"""A worker's name, empty where none was recorded, and which of the trials that it ran at the same time."""


def lanes(trials: Iterable[FrozenTrial], until: datetime | None = None) -> list[tuple[FrozenTrial, Lane]]:
    """Each trial that was started, with a lane in which no other trial ran at the same time.

    A trial runs in its worker's lane; a worker that runs several at once has several. Where no worker was recorded,
    a trial takes the lane that was free the longest.

    Args:
        trials: of one search or several studies of it.
        until: when the trials that have not ended are taken to end.
    """
    ran = [
        (start, end, trial)
        for trial in trials
        if (start := started(trial)) and (end := trial.datetime_complete or until)
    ]
    free: dict[str, list[datetime]] = {}
    placed = []
    for start, end, trial in sorted(ran, key=lambda each: (each[0], each[2].number)):
        worker = str(trial.user_attrs.get(WORKER, ""))
        ends = free.setdefault(worker, [])
        open_lanes = [lane for lane, taken_until in enumerate(ends) if taken_until <= start]
        lane = min(open_lanes, key=lambda lane: ends[lane], default=len(ends))
        ends[lane : lane + 1] = [end]
        placed.append((trial, (worker, lane)))
    return placed
