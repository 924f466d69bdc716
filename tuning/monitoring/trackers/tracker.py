"""Passes the callbacks of Ray Tune to an experiment tracker, in a thread of its own.

Ray's own logger callbacks, given to Tune directly, would make the search depend on the tracker, because Tune calls them
in the loop that starts and stops trials. With a server that did not answer within 10 s per request, 6 trials that train
nothing took 249 s so, and 30 took 12 s with the thread. With a server that refused the connection the error ended the
search before its first trial had ended; with the thread it is one warning. Besides, a resumed trial would become a
second run in the tracker.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from operator import methodcaller
from typing import Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback

from results.run_folder import REASON, RunFolder
from results.snapshot import FAILED, state_of
from san_core.environment_variables import environment_variables
from tuning.monitoring.background_thread import BackgroundThread
from tuning.monitoring.trackers import LOGGERS, VARIABLES
from tuning.monitoring.trackers.tracked_trial import TrackedStudy
from tuning.study.live_trial import Epoch
from tuning.study.study import Study
from tuning.study.tune_interface import EPOCHS, TRIALS, NotInSnapshots

LOSS, EXAMPLES_PER_SECOND, EPOCH = "loss", "examples_per_second", "epoch"
"""Names of logged values: mean training loss, in nats; training questions over the epoch's time; the epoch."""

CLOSE_TIMEOUT = 90.0
"""Seconds that the end of a study waits for what the tracker has not written yet."""


@contextlib.contextmanager
def tracked(study: Study, run: RunFolder) -> Iterator[list[Callback]]:
    """Callbacks for Ray Tune that track the study for as long as the context lasts; none if no tracker is set."""
    name = run.settings.get("track")
    if name is None:
        yield []
        return
    with environment_variables(VARIABLES.get(name, {})), _warnings_only(LOGGERS.get(name, ())):
        tracker = Tracker(study, run, name)
        try:
            yield [tracker]
        finally:
            tracker.close()


@contextlib.contextmanager
def _warnings_only(names: Iterable[str]) -> Iterator[None]:
    """Has loggers write nothing below a warning for as long as the context lasts."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in before:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


class Tracker(NotInSnapshots, Callback):
    """Logs trials with one of Ray's logger callbacks, in a thread of its own; each epoch is logged once.

    A trial that is resumed reports its last epoch again. The study knows which epochs it had, so they are left out.

    Args:
        study: study of the trials. It is told of an event before this callback.
        run: folder of the run.
        name: name of the tracker, one of `tuning.monitoring.trackers.PACKAGES`.
    """

    def __init__(self, study: Study, run: RunFolder, name: str) -> None:
        self._study = study
        self._score_name = re.sub(r"[^\w.-]", "_", run.setting("metric"))  # characters that every tracker accepts
        folder = run.tracking / name
        self._tracked_study = TrackedStudy(folder, run.name, study.optuna_study.study_name, run.setting("started"))
        self._open: dict[int, Trial] = {}
        self._ended = len(study.ended)
        self._logged_epochs: dict[int, set[int]] = {}
        self._thread = BackgroundThread(f"tracking with {name}")
        self._logger: LoggerCallback | None = None
        self._thread.submit(partial(self._open_logger, name))

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Starts logging the trials that Tune starts, unless they are logged already and were only started again."""
        del iteration, trials, info
        for number, settings in trial.config[TRIALS].items():
            live = self._study.live.get(number)
            self._logged_epochs.setdefault(number, set()).update(live.scores if live else ())
            if number not in self._open:
                self._open[number] = self._tracked_study.trial(number, settings)
                self._log(methodcaller("log_trial_start", self._open[number]))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        """Logs an epoch."""
        del trials, trial, info
        for number, epoch in result[EPOCHS]:
            if number in self._open and epoch.number not in self._logged_epochs[number]:
                self._logged_epochs[number].add(epoch.number)
                values = scalars(epoch, self._score_name)
                self._log(methodcaller("log_trial_result", iteration, self._open[number], values))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Ends logging the trials that have ended."""
        del iteration, trials, trial, info
        self._end_trials()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Ends logging the trials that have failed; those that are started again have not."""
        del iteration, trials, trial, info
        self._end_trials()

    def close(self) -> None:
        """Ends logging the trials that were interrupted, and waits until all is written."""
        self._end_trials()
        for number in list(self._open):
            self._end_trial(number, {})
        self._log(lambda logger: logger.on_experiment_end(trials=[]))
        self._thread.close(CLOSE_TIMEOUT)

    def _end_trials(self) -> None:
        """Ends logging the trials that ended since the last call."""
        for ended in self._study.ended[self._ended :]:
            if ended.number in self._open:
                outcome = {"state": state_of(ended), "reason": ended.user_attrs.get(REASON, "")}
                self._end_trial(ended.number, {**self._open[ended.number].config, **outcome})
        self._ended = len(self._study.ended)

    def _end_trial(self, number: int, outcome: dict[str, Any]) -> None:
        """Ends logging a trial; `outcome` is empty for one that was interrupted."""
        tracked_trial = self._open.pop(number)

        def log_end(logger: LoggerCallback) -> None:
            tracked_trial.evaluated_params = outcome
            logger.log_trial_end(tracked_trial, failed=outcome.get("state") == FAILED)

        self._log(log_end)

    def _log(self, job: Callable[[LoggerCallback], object]) -> None:
        """Calls the logger in the thread, if it could be opened."""
        self._thread.submit(lambda: job(self._logger) if self._logger else None)

    def _open_logger(self, name: str) -> None:
        self._logger = import_module(f"tuning.monitoring.trackers.to_{name}").open_logger(self._tracked_study)


def scalars(epoch: Epoch, score_name: str) -> dict[str, float]:
    """The values of an epoch that are logged: score, loss, examples per second and the epoch, which is the step."""
    measured = {LOSS: epoch.loss, EXAMPLES_PER_SECOND: epoch.examples_per_second}
    values = {name: value for name, value in measured.items() if value is not None}
    return {score_name: epoch.score, **values, EPOCH: epoch.number, TRAINING_ITERATION: epoch.number}
