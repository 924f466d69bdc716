"""Lends the study to Ray Tune, as its searcher and as its scheduler.

Tune asks the searcher what to run and the scheduler whether to go on. Both only pass the question to
the study, which alone remembers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tuning.study import Study

NUMBER = "number"
SETTINGS = "settings"


class StudySearcher(Searcher):
    """Asks the study for trials and tells it how they ended.

    Args:
        study: the study.
        slots: trials that may run at once; asking earlier would only mean knowing less.
        common: what every trial's configuration holds besides its number and settings.
        on_end: called after each trial's end.
    """

    def __init__(
        self, study: Study, *, slots: int, common: Mapping[str, Any], on_end: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__()
        self._study = study
        self._on_end = on_end
        self._slots = slots
        self._common = dict(common)
        self._numbers: dict[str, int] = {}
        self.errors: dict[int, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial's configuration, None while all slots are taken, or Tune's word for no more."""
        if self._study.exhausted:
            return Searcher.FINISHED  # type: ignore[return-value]  # a word, whatever Tune's annotation says
        if len(self._study.live) >= self._slots:
            return None
        live = self._study.ask()
        self._numbers[trial_id] = live.trial.number
        return {**self._common, NUMBER: live.trial.number, SETTINGS: live.settings}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the study that a trial ended."""
        del result  # every epoch was told when it came
        number = self._numbers[trial_id]
        if number in self._study.live:
            self._study.finish(number, self.errors.get(number, "failed") if error else "")
        self._on_end()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots: the journal holds it."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal holds it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the journal holds it."""


class StudyScheduler(FIFOScheduler):
    """Passes every epoch to the study and stops the trials it gives up."""

    def __init__(self, study: Study, searcher: StudySearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._study = study
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots: the journal holds it."""
        return {}

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Records the epoch; tells Tune to go on or to stop."""
        del tune_controller
        go_on = self._study.report(
            trial.config[NUMBER], result["epoch"], result["score"], result["loss"], result["seconds"]
        )
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Keeps the reason for when the searcher hears of the end."""
        del tune_controller
        self._searcher.errors[trial.config[NUMBER]] = _reason(trial)


def _reason(trial: Trial) -> str:
    """What went wrong, in one line.

    When Tune calls the scheduler, the error lies in its local folder only: `trial.get_pickled_error`
    would look for it in the storage, where it comes later.
    """
    if trial.pickled_error_file is None:
        return "failed; search.log has the details"
    with Path(trial.pickled_error_file).open("rb") as file:
        error = cloudpickle.load(file)
    last_line = str(error).strip().splitlines()[-1]
    return "the worker process died" if "worker process has died" in last_line else last_line[:200]
