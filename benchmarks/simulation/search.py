"""One simulated search: `tuning.study.cohorts.Cohorts` and its study as they are, and GPUs that only take time.

Time is virtual. The driver is one process, so its calls follow one another: each begins when the last has ended, takes
the CPU time that it really took, and a GPU that waits for it trains nothing meanwhile.
"""

import heapq
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from optuna.storages import InMemoryStorage

from benchmarks.simulation.gpus import EpochTimes, width_of
from benchmarks.simulation.recorded_curves import RecordedCurves
from results.run_folder import RunFolder
from search_spaces import SearchSpace
from tuning.study.cohorts import Attempt, Cohorts
from tuning.study.first_trials import first_trials
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_search
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study

_Result = TypeVar("_Result")

TUNE_SECONDS = 0.002
"""What Ray Tune's own work for a start or a report takes of the driver; see `benchmarks.null_trials`."""


@dataclass(frozen=True)
class Setting:
    """A search to simulate.

    Attributes:
        gpus: each trains one cohort at a time.
        width: most trials of a cohort.
        trials: of the search.
        variation: the time of a job is multiplied by a random factor in [1 - variation, 1 + variation].
        ahead: jobs that are planned beyond one for each GPU.
        sampler, pruner: as in `--sampler` and `--pruner`.
        patience: as in `--patience`; None for no such bound.
        seed: of all that is random.
    """

    gpus: int = 1
    width: int = 16
    trials: int = 1000
    variation: float = 0.1
    ahead: int = 0
    sampler: str = "random"
    pruner: str = "halving"
    patience: int | None = None
    seed: int = 0


@dataclass
class DeviceTime:
    """Seconds of all GPUs together, by what they did.

    Attributes:
        training: what the trials' epochs take in full cohorts.
        partly_filled: what they took longer because their cohorts were not full.
        turn: waiting, while there were new trials to start, for jobs that were due earlier.
        driver: waiting for the driver.
        end: waiting for the others at the end, when all trials were started.
    """

    training: float = 0.0
    partly_filled: float = 0.0
    turn: float = 0.0
    driver: float = 0.0
    end: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.training + self.partly_filled + self.turn + self.driver + self.end


@dataclass
class Outcome:
    """What a simulated search took.

    Attributes:
        setting: of the search.
        seconds: virtual, from the first job's start to the last one's end.
        devices: where the GPUs' time went.
        epochs: that were trained.
        best: highest score of a complete trial.
        driver: CPU seconds of the driver up to the end of each trial, ascending.
    """

    setting: Setting
    seconds: float
    devices: DeviceTime
    epochs: int
    best: float
    driver: list[float] = field(repr=False)

    def driver_ms(self, number: int) -> float:
        """CPU time of the driver per trial, in ms, averaged over the second half of the first `number` trials."""
        first = number // 2
        return 1000 * (self.driver[number - 1] - self.driver[first - 1]) / (number - first)


@dataclass(eq=False)
class _Gpu:
    """A GPU.

    Attributes:
        attempt: what it trains.
        epoch: that it trains.
        seconds: of an epoch.
        curves: scores of the trials it trains, by number.
        free_since: when it had to start waiting.
    """

    attempt: Attempt | None = None
    epoch: int = 0
    seconds: float = 0.0
    curves: dict[int, list[float]] = field(default_factory=dict)
    free_since: float = 0.0


class Simulation:
    """A search with virtual GPUs.

    Args:
        setting: what is simulated.
        space: what is searched.
        curves: of its configurations.
        times: of an epoch on a GPU.
        folder: empty folder for the study's journal; None for a study in memory.
    """

    def __init__(
        self,
        setting: Setting,
        space: SearchSpace,
        curves: RecordedCurves,
        times: EpochTimes,
        folder: Path | None = None,
    ) -> None:
        self._setting, self._curves, self._times = setting, curves, times
        self._epochs = curves.scores.shape[1]
        self.study = open_study(setting, space, self._epochs, folder)
        self._random = np.random.default_rng(setting.seed)
        self._events: list[tuple[float, int]] = []  # ends of epochs: time, GPU
        self._gpus = [_Gpu() for _ in range(setting.gpus)]
        self._devices, self._driver, self._trained = DeviceTime(), list[float](), 0
        self._driver_used = 0.0  # CPU seconds
        self._driver_free = 0.0  # virtual time at which the driver has ended its last call
        self._all_started_at: float | None = None

    def run(self) -> Outcome:
        """Simulates the search up to its end."""
        setting = self._setting
        workers = setting.gpus + setting.ahead
        self._cohorts = self._call(0.0, lambda: Cohorts(self.study, width=setting.width, workers=workers))
        for gpu in self._gpus:
            gpu.free_since = self._driver_free
            self._devices.driver += self._driver_free
        self._give_jobs()
        while self._events:
            now, index = heapq.heappop(self._events)
            self._end_epoch(now, self._gpus[index])
        for gpu in self._gpus:
            self._note_waiting(gpu, self._driver_free)
        best = self.study.best.value if self.study.best else None
        return Outcome(setting, self._driver_free, self._devices, self._trained, best or 0.0, self._driver)

    def _end_epoch(self, now: float, gpu: _Gpu) -> None:
        """Reports an epoch of a job; the GPU goes on, or gets another job."""
        attempt, cohorts = gpu.attempt, self._cohorts
        if attempt is None:
            raise RuntimeError("a GPU without a job ended an epoch")
        epochs = {
            number: Epoch(gpu.epoch, curve[gpu.epoch - 1], gpu.epoch * gpu.seconds / len(gpu.curves), worker="virtual")
            for number, curve in gpu.curves.items()
        }
        goes_on = self._call(now, lambda: cohorts.report(attempt, epochs))
        if goes_on:
            gpu.epoch += 1
            self._train(gpu)
        else:
            self._call(now, lambda: cohorts.finish(attempt), tune=0)
            gpu.attempt, gpu.free_since = None, self._driver_free
        self._devices.driver += self._driver_free - now
        if not goes_on:
            self._give_jobs()

    def _give_jobs(self) -> None:
        """Gives jobs to the GPUs that wait, the one that waits longest first."""
        waiting = sorted((gpu for gpu in self._gpus if gpu.attempt is None), key=lambda gpu: gpu.free_since)
        for gpu in waiting:
            asked = self._driver_free
            attempt = self._call(asked, self._cohorts.next)
            if attempt is None:
                return
            self._note_waiting(gpu, asked)
            gpu.attempt, gpu.epoch = attempt, attempt.job.first + 1
            settings = self._call(asked, partial(self._describe, attempt), tune=0)
            gpu.curves = {number: self._curves.curve(each, number) for number, each in settings.items()}
            factor = self._random.uniform(1 - self._setting.variation, 1 + self._setting.variation)
            gpu.seconds = factor * self._times.seconds(width_of(len(settings)))
            self._devices.driver += self._driver_free - asked
            self._train(gpu)

    def _describe(self, attempt: Attempt) -> dict[int, dict[str, Any]]:
        """The settings of an attempt's trials; makes all that `CohortSearcher.suggest` gives Tune."""
        settings, _ = self._cohorts.settings(attempt), self._cohorts.live_numbers
        return settings

    def _train(self, gpu: _Gpu) -> None:
        """Has a GPU train an epoch from now on."""
        full = len(gpu.curves) * self._full_share * gpu.seconds / self._times.seconds(width_of(len(gpu.curves)))
        self._devices.training += full
        self._devices.partly_filled += gpu.seconds - full
        self._trained += len(gpu.curves)
        heapq.heappush(self._events, (self._driver_free + gpu.seconds, self._gpus.index(gpu)))

    @cached_property
    def _full_share(self) -> float:
        """Seconds that an epoch of one trial takes in a full cohort."""
        return self._times.seconds(self._setting.width) / self._setting.width

    def _note_waiting(self, gpu: _Gpu, until: float) -> None:
        """Counts the time that a GPU has waited: for its turn up to when all trials were started, then for the end."""
        turn_ends = max(gpu.free_since, min(until, until if self._all_started_at is None else self._all_started_at))
        self._devices.turn += turn_ends - gpu.free_since
        self._devices.end += until - turn_ends

    def _call(self, at: float, call: Callable[[], _Result], tune: float = TUNE_SECONDS) -> _Result:
        """Has the driver do something at a time, or as soon as it is free; returns what the call returns."""
        started = time.process_time()
        result = call()
        used = time.process_time() - started
        self._driver_used += used
        self._driver_free = max(at, self._driver_free) + used + tune
        self._driver += [self._driver_used] * (len(self.study.ended) - len(self._driver))
        if self._all_started_at is None and self.study.exhausted:
            self._all_started_at = self._driver_free
        return result


class _RunInMemory(RunFolder):
    """A run folder whose study is in memory."""

    def storage(self) -> InMemoryStorage:  # type: ignore[override]  # it does all that a search needs
        """A new storage."""
        return InMemoryStorage()


def open_study(setting: Setting, space: SearchSpace, epochs: int, folder: Path | None) -> Study:
    """Opens the study of a search.

    Args:
        setting: of the search.
        space: what is searched.
        epochs: of a trial.
        folder: for its journal; None for a study in memory.
    """
    settings = {"seed": setting.seed, "sampler": setting.sampler, "pruner": setting.pruner}
    settings |= {"fixed": {"epochs": epochs}, "metric": "accuracy", "started": "now"}
    rules = StopRules(trials=setting.trials, patience=setting.patience)
    with tempfile.TemporaryDirectory() as temporary:
        run = (RunFolder if folder else _RunInMemory).create((folder or Path(temporary)) / "run", settings, {})
        return open_search(run, space, rules, first_trials=lambda: first_trials(space.baseline, []))
