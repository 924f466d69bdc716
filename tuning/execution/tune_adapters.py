"""Connects the study to Ray Tune, as its searcher and as its scheduler.

Tune asks the searcher which trial to run, and the scheduler whether a trial goes on. Both pass the question to the
study and keep no state of their own that matters: the study's journal has it.
"""

import contextlib
import errno
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ray import cloudpickle
from ray.tune import PlacementGroupFactory
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from results.run_folder import SEARCH_LOG
from tuning.execution.placement import Placement
from tuning.execution.trial_setup import Limits
from tuning.study.study import Study
from tuning.study.tune_interface import EPOCH, GPU_SHARE, TRAINING_SETTINGS, TRIAL_NUMBER, NotInSnapshots

_FINISHED = cast("dict[str, Any]", Searcher.FINISHED)
"""The searcher's answer that no trial will start any more: a string, although Tune declares a dict."""


class TuneLink:
    """What the searcher and the scheduler of a study share.

    Args:
        study: the study.
        placement: the number of trials that may be live at once. A trial is sampled when it can start and not before:
            the later it is sampled, the more results the sampler knows.
        limits: the number of times that a trial is tried again if its worker dies before the trial starts.
        shared_config: the part of Tune's configuration that is the same for all trials.
        on_end: function called after each trial's end.

    Attributes:
        write_error: the error of the first failed write to the journal, after which the study is no longer called.
        failure_reasons: the reason why each trial failed, by the trial's number.
        failed_starts: the number of times that each trial failed before it started, by the trial's number.
        given_up: numbers of the trials that Tune does not try again, because they failed too often.
    """

    def __init__(
        self,
        study: Study,
        placement: Placement,
        limits: Limits,
        *,
        shared_config: Mapping[str, Any],
        on_end: Callable[[], object] | None = None,
    ) -> None:
        self.study = study
        self.placement = placement
        self.limits = limits
        self.shared_config = dict(shared_config)
        self.on_end = on_end
        self.write_error: OSError | None = None
        self.failure_reasons: dict[int, str] = {}
        self.failed_starts: Counter[int] = Counter()
        self.given_up: set[int] = set()

    @property
    def is_writable(self) -> bool:
        """Whether no write to the journal has failed so far. Once one has, the study must not be called."""
        return self.write_error is None

    def is_tried_again(self, number: int) -> bool:
        """Whether a trial that failed is to be started again by the study.

        Tune itself tries a trial again that was running. A trial whose worker dies while Tune hands it the trial counts
        for Tune as never started, and would be lost.
        """
        return number not in self.given_up and 0 < self.failed_starts[number] <= self.limits.max_failures

    @contextlib.contextmanager
    def record_write_errors(self) -> Iterator[None]:
        """Records an error of writing the journal. If it were raised, Tune would count it as a failure of the trial."""
        try:
            yield
        except OSError as error:
            self.write_error = error


class StudySearcher(NotInSnapshots, Searcher):
    """Asks the study for trials, and tells it when they have ended."""

    def __init__(self, link: TuneLink) -> None:
        super().__init__()
        self._link = link
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of the next trial; None if none is to start now; `FINISHED` if none will start any more.

        Tune does not ask again after `FINISHED`. So the answer is `None` while a trial is live, since that trial may
        have to be started again. It is `FINISHED` at once if the journal cannot be written.
        """
        link = self._link
        if not link.is_writable:
            return _FINISHED
        if len(link.study.live) >= link.placement.max_concurrent:
            return None
        live = None
        with link.record_write_errors():
            live = link.study.ask()
        if live is None:
            return None if link.is_writable and link.study.live else _FINISHED
        self._numbers[trial_id] = live.trial.number
        return {**link.shared_config, TRIAL_NUMBER: live.trial.number, TRAINING_SETTINGS: live.settings}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the study that a trial ended, or that it is to be started again."""
        del result  # the study was told of every epoch when it was reported
        link, number = self._link, self._numbers[trial_id]
        if not link.is_writable or number not in link.study.live:
            return
        if error and link.is_tried_again(number):
            link.study.requeue(number)
            return
        with link.record_write_errors():
            link.study.finish(number, link.failure_reasons.get(number, "failed") if error else "")
            if link.on_end:
                link.on_end()

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: the journal has it."""


class StudyScheduler(NotInSnapshots, FIFOScheduler):
    """Reports every epoch to the study, and stops the trials that the study stops."""

    def __init__(self, link: TuneLink) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._link = link

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """The pending trial with the lowest number. Tune's own method goes through all trials that ever ran."""
        live: set[Trial] = tune_controller.get_live_trials()  # type: ignore[no-untyped-call]
        pending = [trial for trial in live if trial.status == Trial.PENDING]
        return min(pending, key=lambda trial: int(trial.config[TRIAL_NUMBER]), default=None)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Reports an epoch to the study; tells Tune whether the trial goes on."""
        del tune_controller
        go_on = False
        if self._link.is_writable:
            with self._link.record_write_errors():
                go_on = self._link.study.report(trial.config[TRIAL_NUMBER], result[EPOCH])
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Keeps Tune from collecting ended trials for a snapshot that nothing reads."""
        del trial, result
        tune_controller._trials_to_cache.clear()

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Keeps the reason for `StudySearcher.on_trial_complete`; a trial that ran out of memory gets more of a GPU."""
        error = _load_error(trial)
        reason = _describe_error(error)
        number = trial.config[TRIAL_NUMBER]
        self._link.failure_reasons[number] = reason
        if trial.status == Trial.PENDING:
            self._link.failed_starts[number] += 1
        elif trial.status == Trial.RUNNING:  # Tune has tried it again as often as it may
            self._link.given_up.add(number)
        if disk_full := _disk_full_error(error):
            self._link.write_error = disk_full
            tune_controller.request_stop_experiment()  # type: ignore[no-untyped-call]
        elif "out of memory" in reason.lower() and trial.status != Trial.RUNNING:  # it will be tried again
            _double_gpu_share(trial)


def _double_gpu_share(trial: Trial) -> None:
    """Doubles a trial's share of a GPU, so that it runs again beside fewer other trials."""
    factory = trial.placement_group_factory
    bundle: dict[str, float] = dict(factory.bundles[0]) if factory else {}
    if not 0 < bundle.get("GPU", 0.0) < 1:
        return
    bundle["GPU"] = min(1.0, 2 * bundle["GPU"])
    trial.update_resources(PlacementGroupFactory([bundle]))
    trial.config[GPU_SHARE] = bundle["GPU"]


def _load_error(trial: Trial) -> BaseException | None:
    """The error that ended a trial; None if there is no record of it.

    When Tune calls the scheduler the error is only in the trial's local folder. `trial.get_pickled_error` looks for it
    in the storage, where Tune copies it later.
    """
    if trial.pickled_error_file is None or not Path(trial.pickled_error_file).is_file():
        return None
    with Path(trial.pickled_error_file).open("rb") as file:
        error: BaseException = cloudpickle.load(file)
    return error


def _describe_error(error: BaseException | None) -> str:
    """An error in one line."""
    if error is None:
        return f"failed; {SEARCH_LOG} has the details"
    last_line = str(error).strip().splitlines()[-1]
    return "the worker process died" if "worker process has died" in last_line else last_line[:200]


def _disk_full_error(error: BaseException | None) -> OSError | None:
    """The first error among the causes of an error that says a disk is full; None if there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None
