"""Passes what Ray Tune says of trials on to a tracker."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback

from results.run_folder import REASON, RunFolder
from results.snapshot import FAILED, state_of
from tuning.execution.tune_adapters import EPOCH, EXAMPLES_PER_SECOND, LOSS, NUMBER, SETTINGS
from tuning.monitoring.background import Background
from tuning.monitoring.trackers.trial_log import Place
from tuning.study.study import Epoch, Study

PATIENCE = 90.0
"""Seconds that the end of a study waits for its tracker."""


@contextlib.contextmanager
def tracked(study: Study, run: RunFolder) -> Iterator[list[Callback]]:
    """What Ray Tune is to tell of the study's trials for as long as the context lasts: a tracker, if one is set."""
    name = run.settings.get("track")
    if name is None:
        yield []
        return
    tracker = Tracker(study, run, name)
    try:
        yield [tracker]
    finally:
        tracker.close()


class Tracker(Callback):
    """Logs trials in a thread of its own, each epoch once.

    The journal says which epochs of a trial that goes on were logged before: what it reports again is passed over.

    Args:
        study: what the trials belong to; decides on a trial before this hears of it.
        run: its folder.
        name: of the tracker.
    """

    def __init__(self, study: Study, run: RunFolder, name: str) -> None:
        self._study = study
        self._score = re.sub(r"[^\w.-]", "_", run.setting("metric"))  # what every tracker takes for a name
        self._place = Place(run.tracking / name, run.name, study.optuna.study_name, run.setting("started"))
        self._open: dict[int, Trial] = {}
        self._logged: dict[int, set[int]] = {}
        self._background = Background(f"tracking with {name}")
        self._logger: LoggerCallback | None = None
        self._background.do(partial(self._begin, name))

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Opens the log of a trial, unless it goes on after its worker failed."""
        del iteration, trials, info
        number = trial.config[NUMBER]
        live = self._study.live.get(number)
        self._logged[number] = set(live.scores) if live else set()
        if number not in self._open:
            log = self._open[number] = self._place.log_of(number, trial.config[SETTINGS])
            self._do(lambda logger: logger.log_trial_start(log))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        """Logs an epoch."""
        del trials, info
        number, epoch = trial.config[NUMBER], result[EPOCH]
        if number in self._open and epoch.number not in self._logged[number]:
            self._logged[number].add(epoch.number)
            log, logged = self._open[number], scalars(result, self._score)
            self._do(lambda logger: logger.log_trial_result(iteration, log, logged))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Closes the log of a trial that ended."""
        del iteration, trials, info
        self._close(trial.config[NUMBER])

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Closes the log of a trial that failed, unless it is tried again."""
        del iteration, trials, info
        self._close(trial.config[NUMBER])

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots: the journal holds it."""
        return {}

    def close(self) -> None:
        """Closes the logs of trials that were interrupted, and waits until all is written."""
        for number in list(self._open):
            self._close(number, ended=False)
        self._do(lambda logger: logger.on_experiment_end(trials=[]))
        self._background.close(PATIENCE)

    def _close(self, number: int, *, ended: bool = True) -> None:
        """Closes a trial's log with what the study says of its end; if it says none, as one that was interrupted."""
        told = next((trial for trial in reversed(self._study.ended) if trial.number == number), None)
        if number not in self._open or (told is None and ended):
            return
        log, end = self._open.pop(number), {}
        if told is not None:
            end = {**log.config, "state": state_of(told), "reason": told.user_attrs.get(REASON, "")}

        def log_end(logger: LoggerCallback) -> None:
            log.evaluated_params = end
            logger.log_trial_end(log, failed=end.get("state") == FAILED)

        self._do(log_end)

    def _do(self, job: Callable[[LoggerCallback], object]) -> None:
        """Has something logged, if the tracker could be opened."""
        self._background.do(lambda: job(self._logger) if self._logger else None)

    def _begin(self, name: str) -> None:
        self._logger = import_module(f"tuning.monitoring.trackers.to_{name}").open_log(self._place)


def scalars(result: Mapping[str, Any], score: str) -> dict[str, float]:
    """What of an epoch's report is logged: score (by that name), loss and speed; the epoch is its step."""
    epoch: Epoch = result[EPOCH]
    logged = {name: result[name] for name in (LOSS, EXAMPLES_PER_SECOND) if name in result}
    return {score: epoch.score, **logged, EPOCH: epoch.number, TRAINING_ITERATION: epoch.number}
