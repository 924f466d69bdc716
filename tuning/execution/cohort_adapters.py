"""Connects a study's cohorts to Ray Tune, as its searcher. What Tune runs are attempts at jobs."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from san_core.errors import InputError
from san_core.hardware import is_out_of_memory
from tuning.execution.nodes import head_is_reachable
from tuning.execution.scheduler import Link
from tuning.execution.tune_adapters import FINISHED
from tuning.execution.tune_errors import describe_error, node_is_unusable, worker_has_died
from tuning.study.cohorts import Attempt, Cohorts, Failure
from tuning.study.live_trial import Epoch
from tuning.study.tune_interface import JOB, LIVE_TRIALS, TRIALS, UNUSABLE_NODES, WIDTHS, NotInSnapshots


class CohortLink(Link):
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

    def order(self, trial: Trial) -> int:
        """The number of its job."""
        return int(trial.config[JOB].number)

    def report(self, trial: Trial, epochs: Mapping[int, Epoch]) -> bool:
        """Reports epochs of an attempt's trials."""
        return self.cohorts.report(self.attempts[trial.trial_id], epochs)

    def note_failure(self, trial: Trial, error: BaseException | None) -> None:
        """Keeps why an attempt failed."""
        self.failures[trial.trial_id] = Failure(
            describe_error(error),
            worker_died=worker_has_died(error),
            out_of_memory=is_out_of_memory(error),
            misplaced=node_is_unusable(error),
        )


class CohortSearcher(NotInSnapshots, Searcher):
    """Gives Tune attempts, and tells the cohorts when they have ended."""

    def __init__(self, link: CohortLink) -> None:
        super().__init__()
        self._link = link

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of the next attempt; None if none is to start now; `FINISHED` if none will start any more.

        Tune does not ask again after `FINISHED`. None starts while the cluster's head cannot be reached: Tune would ask
        the head for the class of the trial, and wait where nothing can end it.
        """
        link = self._link
        attempt = None
        if link.goes_on and head_is_reachable():
            with link.end_at_write_errors():
                if link.nodes:
                    link.cohorts.use_workers(link.nodes.at_once)
                attempt = link.cohorts.next()
        if attempt is None:
            return None if link.goes_on and not link.cohorts.is_over else FINISHED
        link.attempts[trial_id] = attempt
        cohorts = link.cohorts
        own = {
            JOB: attempt.job,
            TRIALS: cohorts.settings(attempt),
            WIDTHS: cohorts.widths(attempt),
            LIVE_TRIALS: cohorts.live_numbers,
            UNUSABLE_NODES: link.unusable_nodes,
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
        if link.goes_on:
            with link.end_at_write_errors():
                link.cohorts.finish(attempt, failure)
                if link.on_end:
                    link.on_end()
            if failing := link.cohorts.study.failing(1):
                link.end(InputError(failing))

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: the journal has it."""
