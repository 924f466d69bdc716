"""Learning curves of searches over time, computed from the logs of their epochs."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class LoggedEpoch:
    """An epoch of a trial, from the log of a search.

    Attributes:
        at: seconds since the search's process started.
        trial: the trial's name.
        epoch: number of the epoch in the trial, >= 1.
        score: score on the validation split, in [0, 1].
        seconds: seconds since the training of the trial started.
    """

    at: float
    trial: int | str
    epoch: int
    score: float
    seconds: float


@dataclass(frozen=True)
class Search:
    """The content of the log of a search.

    Attributes:
        head: the first line of the log: system, data, seed and the limits of the search.
        epochs: all epochs, in the order in which they finished.
        cpu: pairs of seconds since the start and CPU seconds used by the trials' workers until then.
    """

    head: dict[str, Any]
    epochs: list[LoggedEpoch]
    cpu: list[tuple[float, float]]

    @classmethod
    def read(cls, log: Path) -> Self:
        """Reads a log up to its end, or up to an incomplete line."""
        lines = []
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        head, *rest = lines
        notes = [{**line, "at": line["at"] - head["at"]} for line in rest]
        epochs = sorted((LoggedEpoch(**line) for line in notes if "trial" in line), key=lambda epoch: epoch.at)
        return cls(head, epochs, [(line["at"], line["cpu"]) for line in notes if "cpu" in line])

    def best_by(self, seconds: float) -> float:
        """Best score up to that time; 0 before the first epoch."""
        return max((epoch.score for epoch in self.epochs if epoch.at <= seconds), default=0.0)

    def time_to(self, score: float) -> float:
        """Seconds until a score is reached; infinite if it is not reached."""
        return next((epoch.at for epoch in self.epochs if epoch.score >= score), math.inf)

    @property
    def begun(self) -> float:
        """Seconds until the first trial starts to train."""
        return min((epoch.at - epoch.seconds for epoch in self.epochs), default=math.inf)

    @property
    def trials(self) -> int:
        """Trials with at least one epoch."""
        return len({epoch.trial for epoch in self.epochs})

    def trained(self, slots: int) -> float:
        """Share of the slots' time spent training, between the starts of the first and the last trial."""
        window = self._window()
        covered = sum(_overlap(span, window) for span in self._spans())
        return _share(covered, slots, window)

    def busy(self, slots: int) -> float | None:
        """CPU time of the trials' workers as a share of the slots' time in the same window; None if not measured."""
        start, end = self._window()
        inside = [(at, cpu) for at, cpu in self.cpu if start <= at <= end]
        if len(inside) < 2:
            return None
        (first, before), (last, after) = inside[0], inside[-1]
        return _share(after - before, slots, (first, last))

    def _window(self) -> tuple[float, float]:
        begins = [epoch.at - epoch.seconds for epoch in self.epochs if epoch.epoch == 1]
        return min(begins, default=0.0), max(begins, default=0.0)

    def _spans(self) -> Iterable[tuple[float, float]]:
        """Start and end of each epoch."""
        for trial in {epoch.trial for epoch in self.epochs}:
            own = [epoch for epoch in self.epochs if epoch.trial == trial]
            yield own[0].at - own[0].seconds, own[0].at
            yield from ((after.at - (after.seconds - before.seconds), after.at) for before, after in pairwise(own))


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _share(seconds: float, slots: int, window: tuple[float, float]) -> float:
    length = window[1] - window[0]
    return seconds / (slots * length) if length > 0 else math.nan


def common_score(searches: Sequence[Search]) -> float:
    """The highest score that all searches reach."""
    return min(search.best_by(math.inf) for search in searches)


def summary(
    searches: Sequence[Search], ours: Sequence[Search], *, target: float, times: Sequence[float], slots: int
) -> dict[str, Any]:
    """Results of a system over several seeds: medians, and ratios to this project's results for the same seed.

    Args:
        searches: searches of the system, in the order of the seeds.
        ours: searches of this project under the same seeds.
        target: score; the time until a search reaches it is measured.
        times: times at which the best score is reported, in seconds since the start.
        slots: number of trials at the same time.

    Returns:
        Numbers by name, as JSON can hold them; None for a time that is infinite or not measured.
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
