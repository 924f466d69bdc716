"""The scheduler that Ray Tune asks after each report: it passes the question on, to the study or to its cohorts."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from san_core.command_line import print_message
from san_core.errors import InputError
from tuning.execution.cluster_watch import Nodes
from tuning.execution.node_data import NodeUnusableError
from tuning.execution.tune_errors import NoCodeError, disk_full_error, find_low_memory, load_error, node_is_unusable
from tuning.study.live_trial import Epoch
from tuning.study.tune_interface import EPOCHS, UNUSABLE_NODES, NotInSnapshots


class Link(ABC):
    """What a searcher and the scheduler share: a study, with each of its trials alone or with cohorts of them.

    Attributes:
        early_end: the first error because of which Tune ends before the study does; None while there is none. An
            OSError was raised by a write to the journal: the study must not be called any more.
        check_files: function called when a trial has failed; it raises an InputError if files that all trials need are
            gone.
        controller: what runs Tune's trials; None before the first.
        shared_config: what the configuration of everything that Tune runs holds.
        nodes: of the cluster; None where all trials run on the driver's machine.
    """

    def __init__(self) -> None:
        self.early_end: Exception | None = None
        self.check_files: Callable[[], object] = lambda: None
        self.controller: TuneController | None = None
        self.nodes: Nodes | None = None
        self.shared_config: dict[str, Any] = {}

    @property
    def goes_on(self) -> bool:
        """Whether the study may be asked and told: Tune does not end early."""
        return self.early_end is None

    def end(self, error: Exception) -> None:
        """Has Tune stop all its trials, and end."""
        self.early_end = self.early_end or error
        if self.controller is not None:
            self.controller.request_stop_experiment()  # type: ignore[no-untyped-call]

    @property
    def unusable_nodes(self) -> tuple[str, ...]:
        """Ids of the nodes that cannot run trials."""
        return tuple(self.nodes.unusable) if self.nodes else ()

    def leave_out_unusable_nodes(self) -> None:
        """Has trials run on other nodes from now on; ends Tune if there are none."""
        if self.nodes and not self.nodes.refresh():
            self.end(InputError(f"no node is left that can run trials: {next(iter(self.nodes.unusable.values()), '')}"))

    def explain(self, error: NoCodeError, trial: Trial) -> Exception:
        """Looks for the nodes that the code cannot be put on; another error if the trial may have been on one of them.

        Returns:
            A `NodeUnusableError` if nodes are left out now that were not when the trial was placed, else the same.
        """
        if not self.nodes:
            return error
        self.nodes.check_code()
        is_new = set(self.unusable_nodes) - set(trial.config.get(UNUSABLE_NODES, ()))
        return NodeUnusableError(str(error)) if is_new else error

    @contextlib.contextmanager
    def end_at_write_errors(self) -> Iterator[None]:
        """Ends Tune if the journal cannot be written. If that were raised, Tune would take it for the trial's fault."""
        try:
            yield
        except OSError as error:
            self.end(error)

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
        """The pending trial that comes first. Tune's own method goes through all trials that ever ran.

        Tune calls this at every step.
        """
        self._link.controller = tune_controller
        live: set[Trial] = tune_controller.get_live_trials()  # type: ignore[no-untyped-call]
        pending = [trial for trial in live if trial.status == Trial.PENDING]
        return min(pending, key=self._link.order, default=None)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Reports epochs to the study; tells Tune whether its trial goes on."""
        del tune_controller
        go_on, epochs = False, dict(result[EPOCHS])
        for number, epoch in epochs.items():
            if epoch.note:
                print_message(f"trial {number} {epoch.note}")
        if self._link.goes_on:
            with self._link.end_at_write_errors():
                go_on = self._link.report(trial, epochs)
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Keeps Tune from collecting ended trials for a snapshot that nothing reads."""
        del trial, result
        tune_controller._trials_to_cache.clear()

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Keeps why a trial failed; ends Tune if that is no fault of the trial: disk, memory or files."""
        del tune_controller
        error = load_error(trial)
        if isinstance(error, NoCodeError):
            error = self._link.explain(error, trial)
        self._link.note_failure(trial, error)
        if node_is_unusable(error):
            self._link.leave_out_unusable_nodes()
        if reason := disk_full_error(error) or find_low_memory(error) or self._missing_files():
            self._link.end(reason)

    def _missing_files(self) -> InputError | None:
        """Why files that all trials need are gone; None if they are there."""
        try:
            self._link.check_files()
        except InputError as error:
            return error
        return None
