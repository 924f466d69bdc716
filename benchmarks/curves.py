"""How fast searches learned: arithmetic over the logs of their epochs."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Noted:
    """An epoch of a search.

    Attributes:
        at: seconds since the search's process started.
        trial: the trial's name.
        epoch: its number in the trial, >= 1.
        score: on the validation split, in [0, 1].
        seconds: since the trial began to train.
    """

    at: float
    trial: int | str
    epoch: int
    score: float
    seconds: float


@dataclass(frozen=True)
class Search:
    """What the log of a search tells.

    Attributes:
        head: the log's first line: system, data, seed and how the search was bounded.
        epochs: in the order in which they ended.
        cpu: seconds since the start, and CPU seconds that the trials' workers had had by then.
    """

    head: dict[str, Any]
    epochs: list[Noted]
    cpu: list[tuple[float, float]]

    @classmethod
    def read(cls, log: Path) -> Self:
        """Reads a log; a line that was cut short ends it."""
        lines = []
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        head, *rest = lines
        notes = [{**line, "at": line["at"] - head["at"]} for line in rest]
        epochs = sorted((Noted(**line) for line in notes if "trial" in line), key=lambda noted: noted.at)
        return cls(head, epochs, [(line["at"], line["cpu"]) for line in notes if "cpu" in line])

    def best_by(self, seconds: float) -> float:
        """Best score until then; 0 before the first."""
        return max((noted.score for noted in self.epochs if noted.at <= seconds), default=0.0)

    def time_to(self, score: float) -> float:
        """Seconds until a score was reached; infinite if it never was."""
        return next((noted.at for noted in self.epochs if noted.score >= score), math.inf)

    @property
    def begun(self) -> float:
        """Seconds until the first trial began to train."""
        return min((noted.at - noted.seconds for noted in self.epochs), default=math.inf)

    @property
    def trials(self) -> int:
        """Trials with at least one epoch."""
        return len({noted.trial for noted in self.epochs})

    def trained(self, slots: int) -> float:
        """Share of the slots' time that trials trained in, from the first trial's begin to the last one's."""
        window = self._window()
        covered = sum(_overlap(span, window) for span in self._spans())
        return _share(covered, slots, window)

    def busy(self, slots: int) -> float | None:
        """Share of the slots' time in that window that was CPU time of the trials' workers; None if not measured."""
        start, end = self._window()
        inside = [(at, cpu) for at, cpu in self.cpu if start <= at <= end]
        if len(inside) < 2:
            return None
        (first, before), (last, after) = inside[0], inside[-1]
        return _share(after - before, slots, (first, last))

    def _window(self) -> tuple[float, float]:
        begins = [noted.at - noted.seconds for noted in self.epochs if noted.epoch == 1]
        return min(begins, default=0.0), max(begins, default=0.0)

    def _spans(self) -> Iterable[tuple[float, float]]:
        """When each epoch was trained."""
        for trial in {noted.trial for noted in self.epochs}:
            own = [noted for noted in self.epochs if noted.trial == trial]
            yield own[0].at - own[0].seconds, own[0].at
            yield from ((after.at - (after.seconds - before.seconds), after.at) for before, after in pairwise(own))


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _share(seconds: float, slots: int, window: tuple[float, float]) -> float:
    length = window[1] - window[0]
    return seconds / (slots * length) if length > 0 else math.nan


def common_score(searches: Sequence[Search]) -> float:
    """The highest score that all of them reach."""
    return min(search.best_by(math.inf) for search in searches)


def summary(
    searches: Sequence[Search], ours: Sequence[Search], *, target: float, times: Sequence[float], slots: int
) -> dict[str, Any]:
    """How a system did under several seeds: medians, and ratios to ours, seed by seed.

    Args:
        searches: of the system, in the order of the seeds.
        ours: this project's, under the same seeds.
        target: score whose reaching is timed.
        times: seconds since the start at which the best score so far is told.
        slots: trials at once.

    Returns:
        What JSON can hold: numbers, None for a time that is infinite or was not measured.
    """
    reached = [search.time_to(target) for search in searches]
    without = [at - search.begun for at, search in zip(reached, searches, strict=True)]
    pairs = list(zip(searches, ours, strict=True))
    return {
        "seeds": len(searches),
        "target": target,
        "seconds to target": _median(reached),
        "ratio": _median(_ratio(a.time_to(target), b.time_to(target)) for a, b in pairs),
        "seconds to target without start": _median(without),
        "ratio without start": _median(
            _ratio(a.time_to(target) - a.begun, b.time_to(target) - b.begun) for a, b in pairs
        ),
        "best at": {f"{at:g}": _median(search.best_by(at) for search in searches) for at in times},
        "best": _median(search.best_by(math.inf) for search in searches),
        "trials": _median(search.trials for search in searches),
        "epochs": _median(len(search.epochs) for search in searches),
        "training share": _median(search.trained(slots) for search in searches),
        "busy cores": _median(busy for search in searches if (busy := search.busy(slots)) is not None),
    }


def _ratio(one: float, other: float) -> float:
    return one / other if math.isfinite(other) else math.nan


def _median(values: Iterable[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    median = statistics.median(known) if known else math.nan
    return median if math.isfinite(median) else None
