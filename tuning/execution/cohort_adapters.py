"""Connects a study's cohorts to Ray Tune, as its searcher and as its scheduler. Tune runs attempts at jobs."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from san_core.hardware import is_out_of_memory
from tuning.execution.tune_adapters import FINISHED
from tuning.execution.tune_errors import WriteGuard, describe_error, disk_full_error, load_error, worker_has_died
from tuning.study.cohorts import Attempt, Cohorts, Failure
from tuning.study.tune_interface import EPOCHS, JOB, LIVE_TRIALS, TRIALS, WIDTHS, NotInSnapshots


class CohortLink(WriteGuard):
    """What the searcher and the scheduler of a study's cohorts share.

    Args:
        cohorts: of the study.
        shared_config: what the configuration of every attempt holds besides its trials.
        on_end: called after each attempt's end.

    Attributes:
        failures: why attempts failed, by Tune's id of the trial.
        attempts: those that Tune was given and that have not ended, by the same.
    """

    def __init__(
        self, cohorts: Cohorts, *, shared_config: Mapping[str, Any], on_end: Callable[[], object] | None = None
    ) -> None:
        super().__init__()
        self.cohorts = cohorts
        self.shared_config = dict(shared_config)
        self.on_end = on_end
        self.failures: dict[str, Failure] = {}
        self.attempts: dict[str, Attempt] = {}


class CohortSearcher(NotInSnapshots, Searcher):
    """Gives Tune attempts, and tells the cohorts when they have ended."""

    def __init__(self, link: CohortLink) -> None:
        super().__init__()
        self._link = link

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of the next attempt; None if none is to start now; `FINISHED` if none will start any more.

        Tune does not ask again after `FINISHED`.
        """
        link = self._link
        attempt = None
        if link.is_writable:
            with link.record_write_errors():
                attempt = link.cohorts.next()
        if attempt is None:
            return None if link.is_writable and not link.cohorts.is_over else FINISHED
        link.attempts[trial_id] = attempt
        cohorts = link.cohorts
        own = {
            JOB: attempt.job,
            TRIALS: cohorts.settings(attempt),
            WIDTHS: cohorts.widths(attempt),
            LIVE_TRIALS: cohorts.live_numbers,
        }
        return {**link.shared_config, **own}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the cohorts that an attempt has ended, and why if it failed."""
        del result  # the cohorts were told of every epoch when it was reported
        link = self._link
        attempt, failure = link.attempts.pop(trial_id), link.failures.pop(trial_id, None)
        if not error:
            failure = None  # Tune itself ran the attempt again, as it does when a node is taken away
        elif failure is None:
            failure = Failure(describe_error(None))
        if link.is_writable:
            with link.record_write_errors():
                link.cohorts.finish(attempt, failure)
                if link.on_end:
                    link.on_end()

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: the journal has it."""


class CohortScheduler(NotInSnapshots, FIFOScheduler):
    """Reports the epochs of an attempt's trials, and stops an attempt that is done."""

    def __init__(self, link: CohortLink) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._link = link

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """The pending attempt at the first job. Tune's own method goes through all trials that ever ran."""
        live: set[Trial] = tune_controller.get_live_trials()  # type: ignore[no-untyped-call]
        pending = [trial for trial in live if trial.status == Trial.PENDING]
        return min(pending, key=lambda trial: int(trial.config[JOB].number), default=None)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Reports an epoch of some trials; tells Tune whether the attempt goes on."""
        del tune_controller
        link, go_on = self._link, False
        if link.is_writable:
            with link.record_write_errors():
                go_on = link.cohorts.report(link.attempts[trial.trial_id], dict(result[EPOCHS]))
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Keeps Tune from collecting ended trials for a snapshot that nothing reads."""
        del trial, result
        tune_controller._trials_to_cache.clear()

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Keeps the reason for `CohortSearcher.on_trial_complete`."""
        error = load_error(trial)
        self._link.failures[trial.trial_id] = Failure(
            describe_error(error),
            worker_died=worker_has_died(error),
            out_of_memory=is_out_of_memory(error),
        )
        if disk_full := disk_full_error(error):
            self._link.write_error = disk_full
            tune_controller.request_stop_experiment()  # type: ignore[no-untyped-call]
