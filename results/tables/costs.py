"""What a search cost: the time of its devices, useful or wasted, and space on the disk."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial

from results import run_folder
from results.run_folder import RunFolder
from results.snapshot import COMPLETE, DIVERGED, FAILED, PRUNED, STOPPED, RunSnapshot, ended, epochs, state_of
from results.tables.slots import Span, all_spans, assign_slots, busy_seconds


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

    There are as many slots as trials, or jobs, ever ran at once on each worker. What a trial of a job trained is its
    share of the job's time, so that the trials' sum is the slot's time.
    """
    ran = all_spans(snapshot)
    slots, running = len({slot for _, slot in assign_slots(ran)}), sum(span.seconds for span in ran)
    states = {
        state: [t for t in snapshot.search if state_of(t) == state]
        for state in (COMPLETE, PRUNED, STOPPED, DIVERGED, FAILED)
    }
    fresh_failed = [trial for trial in snapshot.confirmations if state_of(trial) == FAILED]
    fresh = [trial for trial in snapshot.confirmations if state_of(trial) != FAILED]
    over = {id(trial): trial for span in ran for trial in span.trials if ended(trial)}
    trained = training_seconds(over.values())
    unfinished = sum(span.seconds * _share_unfinished(span) for span in ran)
    return [
        Cost("trained to the end", training_seconds(states[COMPLETE]), useful=True),
        Cost("stopped early", training_seconds([*states[PRUNED], *states[STOPPED]]), useful=True),
        Cost("diverged", training_seconds(states[DIVERGED]), useful=True),
        Cost("fresh seeds", training_seconds(fresh), useful=True),
        Cost("not finished", unfinished, useful=True),
        Cost("failed", training_seconds([*states[FAILED], *fresh_failed]), useful=False),
        Cost("starting, saving, waiting", max(0.0, running - trained - unfinished), useful=False),
        Cost("idle", max(0.0, slots * busy_seconds(ran) - running), useful=False),
    ]


def training_seconds(trials: Iterable[FrozenTrial]) -> float:
    """Training and scoring time of the trials' epochs."""
    return sum(float(trial.user_attrs.get(run_folder.SECONDS, 0)) for trial in trials)


def seconds_saved(snapshot: RunSnapshot) -> float:
    """Training time that the pruned trials would still have needed to run all epochs, each at its own speed."""
    pruned = [trial for trial in snapshot.search if state_of(trial) == PRUNED and epochs(trial)]
    longest = max(map(epochs, snapshot.search), default=0)
    full = snapshot.settings.get("fixed", {}).get("epochs", longest) * snapshot.settings.get("folds", 1)
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


def _share_unfinished(span: Span) -> float:
    """The share of a span's trials that have not ended. How long they trained is recorded at their end."""
    return sum(not ended(trial) for trial in span.trials) / len(span.trials)
