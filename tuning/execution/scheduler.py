"""The scheduler that Ray Tune asks after each report: it passes the question on, to the study or to its cohorts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tuning.execution.tune_errors import WriteGuard, disk_full_error, load_error
from tuning.study.live_trial import Epoch
from tuning.study.tune_interface import EPOCHS, NotInSnapshots


class Link(WriteGuard, ABC):
    """What a searcher and the scheduler share: a study, with each of its trials alone or with cohorts of them."""

    @abstractmethod
    def order(self, trial: Trial) -> int:
        """Number by which pending trials of Tune are started, the lowest first."""

    @abstractmethod
    def report(self, trial: Trial, epochs: Mapping[int, Epoch]) -> bool:
        """Records epochs of the study's trials, by number; returns whether Tune's trial goes on."""

    @abstractmethod
    def note_failure(self, trial: Trial, error: BaseException | None) -> None:
        """Keeps why Tune's trial failed, for its searcher, which hears of the end next."""


class StudyScheduler(NotInSnapshots, FIFOScheduler):
    """Reports every epoch to the study, and stops what the study stops."""

    def __init__(self, link: Link) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._link = link

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """The pending trial that comes first. Tune's own method goes through all trials that ever ran."""
        live: set[Trial] = tune_controller.get_live_trials()  # type: ignore[no-untyped-call]
        pending = [trial for trial in live if trial.status == Trial.PENDING]
        return min(pending, key=self._link.order, default=None)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Reports epochs to the study; tells Tune whether its trial goes on."""
        del tune_controller
        go_on = False
        if self._link.is_writable:
            with self._link.record_write_errors():
                go_on = self._link.report(trial, dict(result[EPOCHS]))
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Keeps Tune from collecting ended trials for a snapshot that nothing reads."""
        del trial, result
        tune_controller._trials_to_cache.clear()

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Keeps why a trial failed; ends the search if the disk is full."""
        error = load_error(trial)
        self._link.note_failure(trial, error)
        if disk_full := disk_full_error(error):
            self._link.write_error = disk_full
            tune_controller.request_stop_experiment()  # type: ignore[no-untyped-call]
