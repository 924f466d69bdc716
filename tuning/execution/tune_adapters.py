"""Connects the study to Ray Tune, as its searcher.

Tune asks the searcher which trial to run, and the scheduler (`tuning.execution.scheduler`) whether a trial goes on.
Both pass the question to the study and keep no state of their own that matters: the study's journal has it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from san_core.errors import InputError
from san_core.hardware import is_out_of_memory
from tuning.execution.nodes import head_is_reachable
from tuning.execution.placement import Placement
from tuning.execution.resources import resources
from tuning.execution.scheduler import Link
from tuning.execution.trial_setup import Limits
from tuning.execution.tune_errors import describe_error, node_is_unusable
from tuning.study.live_trial import Epoch
from tuning.study.study import Study
from tuning.study.tune_interface import GPU_SHARE, RECORDED, TRIALS, UNUSABLE_NODES, NotInSnapshots, only_trial

FINISHED = cast("dict[str, Any]", Searcher.FINISHED)
"""The searcher's answer that no trial will start any more: a string, although Tune declares a dict."""


class TuneLink(Link):
    """What the searcher and the scheduler of a study share.

    Args:
        study: the study.
        placement: the number of trials that may be live at once. A trial is sampled when it can start and not before:
            the later it is sampled, the more results the sampler knows.
        limits: the number of times that a trial is tried again if its worker dies before the trial starts.
        shared_config: the part of Tune's configuration that is the same for all trials.
        on_end: function called after each trial's end.

    Attributes:
        failure_reasons: the reason why each trial failed, by the trial's number.
        failed_starts: the number of times that each trial failed before it started, by the trial's number.
        given_up: numbers of the trials that Tune does not try again, because they failed too often.
        misplaced: numbers of the trials that were started on a node that cannot run trials.
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
        super().__init__()
        self.study = study
        self.placement = placement
        self.limits = limits
        self.shared_config = dict(shared_config)
        self.on_end = on_end
        self.failure_reasons: dict[int, str] = {}
        self.failed_starts: Counter[int] = Counter()
        self.given_up: set[int] = set()
        self.misplaced: set[int] = set()

    def is_tried_again(self, number: int) -> bool:
        """Whether a trial that failed is to be started again by the study.

        Tune itself tries a trial again that was running. A trial whose worker dies while Tune hands it the trial counts
        for Tune as never started, and would be lost.
        """
        if number in self.misplaced:
            self.misplaced.discard(number)
            return True
        return number not in self.given_up and 0 < self.failed_starts[number] <= self.limits.max_failures

    def order(self, trial: Trial) -> int:
        """The trial's number."""
        return only_trial(trial.config)

    def report(self, trial: Trial, epochs: Mapping[int, Epoch]) -> bool:
        """Reports the trial's epoch."""
        number = only_trial(trial.config)
        return self.study.report(number, epochs[number])

    def note_failure(self, trial: Trial, error: BaseException | None) -> None:
        """Keeps why the trial failed; one that ran out of memory gets more of a GPU if it is tried again."""
        number = only_trial(trial.config)
        self.failure_reasons[number] = describe_error(error)
        if node_is_unusable(error):
            self.misplaced.add(number)
        elif trial.status == Trial.PENDING:
            self.failed_starts[number] += 1
        elif trial.status == Trial.RUNNING:  # Tune has tried it again as often as it may
            self.given_up.add(number)
        if is_out_of_memory(error) and trial.status != Trial.RUNNING:
            _double_gpu_share(trial)

    @property
    def at_once(self) -> int:
        """The most trials that may be live now."""
        return self.nodes.at_once if self.nodes else self.placement.max_concurrent


class StudySearcher(NotInSnapshots, Searcher):
    """Asks the study for trials, and tells it when they have ended."""

    def __init__(self, link: TuneLink) -> None:
        super().__init__()
        self._link = link
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of the next trial; None if none is to start now; `FINISHED` if none will start any more.

        Tune does not ask again after `FINISHED`. So the answer is `None` while a trial is live, since that trial may
        have to be started again. It is `FINISHED` at once if Tune ends early. While the cluster's head cannot be
        reached none starts: Tune would ask the head for the class of the trial, and wait where nothing can end it.
        """
        link = self._link
        if not link.goes_on:
            return FINISHED
        if len(link.study.live) >= link.at_once or not (link.study.exhausted or head_is_reachable()):
            return None
        live = None
        with link.end_at_write_errors():
            live = link.study.ask()
        if live is None:
            return None if link.goes_on and link.study.live else FINISHED
        self._numbers[trial_id] = live.trial.number
        own = {TRIALS: {live.trial.number: live.settings}, RECORDED: live.epochs}
        return {**link.shared_config, **own, UNUSABLE_NODES: link.unusable_nodes}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the study that a trial ended, or that it is to be started again."""
        del result  # the study was told of every epoch when it was reported
        link, number = self._link, self._numbers[trial_id]
        if not link.goes_on or number not in link.study.live:
            return
        if error and link.is_tried_again(number):
            link.study.requeue(number)
            return
        with link.end_at_write_errors():
            link.study.finish(number, link.failure_reasons.get(number, "failed") if error else "")
            if link.on_end:
                link.on_end()
        if failing := link.study.failing(link.at_once):
            link.end(InputError(failing))

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: the journal has it."""


def _double_gpu_share(trial: Trial) -> None:
    """Doubles a trial's share of a GPU, so that it runs again beside fewer other trials."""
    factory = trial.placement_group_factory
    bundle: dict[str, float] = dict(factory.bundles[0]) if factory else {}
    if not 0 < bundle.get("GPU", 0.0) < 1:
        return
    bundle["GPU"] = min(1.0, 2 * bundle["GPU"])
    trial.update_resources(resources(bundle, trial.config.get(UNUSABLE_NODES, ())))
    trial.config[GPU_SHARE] = bundle["GPU"]
