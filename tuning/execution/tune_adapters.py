"""Lends the study to Ray Tune, as its searcher and as its scheduler.

Tune asks the searcher what to run and the scheduler whether to go on. Both only pass the question to
the study, which alone remembers.
"""

import contextlib
import errno
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune import PlacementGroupFactory
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tuning.study.study import Study

NUMBER, SETTINGS = "number", "settings"
"""Keys of a trial's configuration: its number, and what it trains with."""

SHARED, CHECKPOINTS = "shared", "checkpoints"
"""Keys of what all trials' configurations hold: what they share, and where they put aside what they need to go on."""

NAMES = "names"
"""Key of the run's and the study's name in what all trials' configurations hold."""

EPOCH = "epoch"
"""Key of what a trial reports."""

LOSS, EXAMPLES_PER_SECOND = "loss", "examples_per_second"
"""Keys of what it reports for trackers: mean training loss, in nats; training questions over the epoch's time."""

GPUS = "gpus"
"""Key of a trial's share of a GPU, where it is not the one of all."""


class Loan:
    """What searcher and scheduler share: the study, and what became of it.

    Args:
        study: the study.
        slots: trials that may run at once; asking earlier would only mean knowing less.
        common: what every trial's configuration holds besides its number and settings.
        on_end: called after each trial's end.
        max_failures: how often a trial is tried again whose worker died before it began.

    Attributes:
        broken: why the search can no longer write down what happens; nothing is asked or told any more.
        reasons: why trials failed, by number.
        unbegun: how often each trial failed before it began, by number; 0 once it is not to be tried again.
    """

    def __init__(
        self,
        study: Study,
        *,
        slots: int,
        common: Mapping[str, Any],
        on_end: Callable[[], object] = lambda: None,
        max_failures: int = 0,
    ) -> None:
        self.study = study
        self.slots = slots
        self.common = dict(common)
        self.on_end = on_end
        self.max_failures = max_failures
        self.unbegun: Counter[int] = Counter()
        self.broken: OSError | None = None
        self.reasons: dict[int, str] = {}

    def is_tried_again(self, number: int) -> bool:
        """Whether a trial that failed is to be handed out again.

        Tune tries those again that were running. One whose worker dies while it is given the trial counts for it as
        never started, and would be lost.
        """
        return 0 < self.unbegun[number] <= self.max_failures

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Notes if the journal can no longer be written. Tune would take it for the trial's failure, and go on."""
        try:
            yield
        except OSError as error:
            self.broken = error


class StudySearcher(Searcher):
    """Asks the study for trials and tells it how they ended."""

    def __init__(self, loan: Loan) -> None:
        super().__init__()
        self._loan = loan
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial's configuration, None while none is to start now, or Tune's word for no more.

        As long as a trial is live there may be more: it may be taken back. Tune never asks again after its word.
        """
        loan, live = self._loan, None
        if loan.broken is None:
            if len(loan.study.live) >= loan.slots:
                return None
            with loan.writing():
                live = loan.study.ask()
            if live is None and loan.broken is None and loan.study.live:
                return None
        if live is None:
            return Searcher.FINISHED  # type: ignore[return-value]  # a word, whatever Tune's annotation says
        self._numbers[trial_id] = live.trial.number
        return {**loan.common, NUMBER: live.trial.number, SETTINGS: live.settings}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the study that a trial ended."""
        del result  # every epoch was told when it came
        loan, number = self._loan, self._numbers[trial_id]
        if number in loan.study.live and loan.broken is None:
            if error and loan.is_tried_again(number):
                loan.study.take_back(number)
                return
            with loan.writing():
                loan.study.finish(number, loan.reasons.get(number, "failed") if error else "")
                loan.on_end()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots: the journal holds it."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal holds it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the journal holds it."""


class StudyScheduler(FIFOScheduler):
    """Passes every epoch to the study and stops the trials it gives up."""

    def __init__(self, loan: Loan) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._loan = loan

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots: the journal holds it."""
        return {}

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """The pending trial that was asked for first. Tune would look through all trials that ever ran."""
        live: set[Trial] = tune_controller.get_live_trials()  # type: ignore[no-untyped-call]
        pending = [trial for trial in live if trial.status == Trial.PENDING]
        return min(pending, key=lambda trial: int(trial.config[NUMBER]), default=None)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Records the epoch; tells Tune to go on or to stop."""
        del tune_controller
        go_on = False
        if self._loan.broken is None:
            with self._loan.writing():
                go_on = self._loan.study.report(trial.config[NUMBER], result[EPOCH])
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Spares Tune the snapshot of all trials that it would write at the end, and nobody read."""
        del trial, result
        tune_controller._trials_to_cache.clear()

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Keeps the reason for when the searcher hears of the end; a trial that lacked memory gets more of a GPU."""
        error = _error(trial)
        reason = _reason(error)
        number = trial.config[NUMBER]
        self._loan.reasons[number] = reason
        if trial.status == Trial.PENDING:
            self._loan.unbegun[number] += 1
        elif trial.status == Trial.RUNNING:  # Tune has tried it again as often as it may
            self._loan.unbegun[number] = 0
        if no_room := _no_room(error):
            self._loan.broken = no_room
            tune_controller.request_stop_experiment()  # type: ignore[no-untyped-call]
        elif "out of memory" in reason.lower() and trial.status != Trial.RUNNING:  # it will be tried again
            _give_more_of_a_gpu(trial)


def _give_more_of_a_gpu(trial: Trial) -> None:
    """Doubles a trial's share, so that it runs again with fewer neighbours."""
    factory = trial.placement_group_factory
    bundle: dict[str, float] = dict(factory.bundles[0]) if factory else {}
    if not 0 < bundle.get("GPU", 0.0) < 1:
        return
    bundle["GPU"] = min(1.0, 2 * bundle["GPU"])
    trial.update_resources(PlacementGroupFactory([bundle]))
    trial.config[GPUS] = bundle["GPU"]


def _error(trial: Trial) -> BaseException | None:
    """What went wrong.

    When Tune calls the scheduler, the error lies in its local folder only: `trial.get_pickled_error`
    would look for it in the storage, where it comes later.
    """
    if trial.pickled_error_file is None or not Path(trial.pickled_error_file).is_file():
        return None
    with Path(trial.pickled_error_file).open("rb") as file:
        error: BaseException = cloudpickle.load(file)
    return error


def _reason(error: BaseException | None) -> str:
    """What went wrong, in one line."""
    if error is None:
        return "failed; search.log has the details"
    last_line = str(error).strip().splitlines()[-1]
    return "the worker process died" if "worker process has died" in last_line else last_line[:200]


def _no_room(error: BaseException | None) -> OSError | None:
    """The error of a full disk that another was raised for, if there is one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None
