"""A run folder's content, read once, so that every table and plot made from it shows the same moment of the search."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from results import ranking, run_folder
from results.clock import utc
from results.finalists import race_of
from results.jobs import Job, read_jobs
from results.race import Race
from results.run_folder import (
    CONFIRMATION,
    CONFIRMS,
    ENDED,
    FOLD_EPOCHS,
    REASON,
    RESUMED,
    SEARCH,
    SECONDS,
    STOPPED_BY,
    RunFolder,
    baseline_number,
    is_own,
    repeats,
)
from results.settings_check import read_settings
from san_core.errors import InputError

COMPLETE, PRUNED, DIVERGED, FAILED = "complete", "pruned", "diverged", "failed"
RUNNING, WAITING, STOPPED = "running", "waiting", "stopped"

STATES = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.RUNNING: RUNNING,
    TrialState.WAITING: WAITING,
}
"""Optuna's states of a trial, in the words of tables and reports."""

ACCURACY = "accuracy"
"""Name and title of the metric of a run whose settings name none."""


@dataclass(frozen=True)
class RunSnapshot:
    """The content of a run folder at the moment when it was read.

    Attributes:
        folder: the run folder.
        settings: the search's settings.
        environment: versions and hardware; empty if they are not known.
        search: the trials that this search trains itself, by number.
        confirmations: the trials that repeat some of them under fresh seeds, by number.
        left_out: number of trials in the journal that were not trained here: copied from an earlier run, or duplicates.
        stopped_by: reason why the search ended; empty if it has not ended.
        jobs: jobs of the search, by number; empty without cohorts.
        confirmation_jobs: jobs of the repeats, by number.
    """

    folder: RunFolder
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    search: Sequence[FrozenTrial]
    confirmations: Sequence[FrozenTrial]
    left_out: int = 0
    stopped_by: str = ""
    jobs: Sequence[Job] = ()
    confirmation_jobs: Sequence[Job] = ()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def metric(self) -> str:
        """Name of the metric that scored the trials."""
        return str(self.settings.get("metric", ACCURACY))

    @property
    def metric_title(self) -> str:
        """The metric's name as reports print it."""
        return str(self.settings.get("metric_title", ACCURACY))

    @cached_property
    def race(self) -> Race:
        """The race of the best trials under fresh seeds, as far as it was run."""
        return race_of(self.search, self.confirmations, self.settings)

    @cached_property
    def ranked(self) -> list[FrozenTrial]:
        """The trials that can be the best: the winner of the race first, the others by the rule in `results.ranking`.

        Before the race has a winner, all of them are in the order of that rule.
        """
        return sorted(ranking.rank_trials(self.search), key=lambda trial: trial.number != self.race.winner)

    @property
    def best(self) -> FrozenTrial | None:
        """The best trial, the first of `ranked`; None if no trial can be the best."""
        return next(iter(self.ranked), None)

    @property
    def best_number(self) -> int | None:
        """Number of the best trial; None if there is none."""
        return self.best.number if self.best else None

    @cached_property
    def baseline(self) -> FrozenTrial | None:
        """The trial of the baseline configuration; None if the search has none, or has not started it."""
        return next((trial for trial in self.search if trial.number == self.baseline_number), None)

    @cached_property
    def baseline_number(self) -> int | None:
        """Number of the baseline's trial; None if the search was told to run no baseline."""
        return baseline_number(self.settings, self.search)

    @cached_property
    def repeats(self) -> Mapping[int, int]:
        """By number of each failed trial that was run again: the number of the trial that did so."""
        return repeats(self.search)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The range of each hyperparameter, by name, as the latest trial that has it drew it."""
        return {name: found for trial in self.search for name, found in trial.distributions.items()}

    @cached_property
    def tables(self) -> dict[str, Any]:
        """The tables that were made of it so far, by name: the report needs that of the trials two dozen times."""
        return {}

    @property
    def all_trials(self) -> list[FrozenTrial]:
        """The trials of the search, then those under fresh seeds."""
        return [*self.search, *self.confirmations]


def load_snapshot(folder: RunFolder) -> RunSnapshot:
    """Reads a run folder.

    Raises:
        InputError: if a file is missing or damaged, or no search was started in the folder.
    """
    with folder.explain_damage():
        study = folder.study(SEARCH)
        found, attributes = study.get_trials(deepcopy=False), study.user_attrs
    try:
        repeats = folder.study(CONFIRMATION)
        confirmations, confirmation_jobs = repeats.get_trials(deepcopy=False), read_jobs(repeats.user_attrs)
    except InputError:  # the search has not come to it, or was told to leave it out
        confirmations, confirmation_jobs = [], []
    settings = read_settings(folder.settings_file)  # as it is now, which may be later than when `folder` was opened
    search = [trial for trial in found if is_own(trial)]
    return RunSnapshot(
        folder,
        settings,
        folder.environment,
        search,
        confirmations,
        left_out=len(found) - len(search),
        stopped_by=str(attributes.get(STOPPED_BY) or ""),
        jobs=read_jobs(attributes),
        confirmation_jobs=confirmation_jobs,
    )


def state_of(trial: FrozenTrial) -> str:
    """A trial's state in the words of reports.

    A diverged trial, which Optuna keeps as complete, is `diverged`. One that a bound on time stopped, which Optuna
    keeps as running because it can go on, is `stopped`.
    """
    if run_folder.DIVERGED in trial.user_attrs:
        return DIVERGED
    return STOPPED if is_stopped(trial) else STATES[trial.state]


def is_stopped(trial: FrozenTrial) -> bool:
    """Whether a bound on time stopped a trial, which goes on when the search is given more."""
    return trial.state is TrialState.RUNNING and bool(trial.user_attrs.get(run_folder.STOPPED))


def epoch_scores(trial: FrozenTrial) -> dict[int, float]:
    """The validation score, in [0, 1], after each epoch that has one; the first epoch is 1.

    Of a trial that is trained on several folds it is the mean over those that have all their epochs, or the first
    one's: see `curve_over_folds`.
    """
    scores = {epoch: score for epoch, score in sorted(trial.intermediate_values.items()) if not math.isnan(score)}
    return curve_over_folds(scores, trial.user_attrs.get(FOLD_EPOCHS))


def curve_over_folds(scores: Mapping[int, float], fold_epochs: int | None) -> dict[int, float]:
    """The scores by epoch of the last fold that has all its epochs, or of the first one if none has.

    They are means over the folds so far, see `san_core.folds`.

    Args:
        scores: by epoch; epochs are counted on from fold to fold.
        fold_epochs: epochs on each fold; None for a trial that has no folds.
    """
    if fold_epochs is None:
        return dict(scores)
    before = max(0, max(scores, default=0) // fold_epochs - 1) * fold_epochs
    return {epoch - before: score for epoch, score in scores.items() if 0 < epoch - before <= fold_epochs}


def fold_scores(trial: FrozenTrial, questions: Sequence[int]) -> list[float]:
    """The score of a complete trial on each fold, in [0, 1], after the epoch with the best mean; empty without folds.

    Args:
        trial: the trial, whose epochs' scores are means over the folds so far.
        questions: number of validation questions of each fold.
    """
    length = trial.user_attrs.get(FOLD_EPOCHS)
    if length is None or epochs(trial) < length * len(questions):
        return []
    means = [trial.intermediate_values[fold * length + best_epoch(trial)] for fold in range(len(questions))]
    totals = [mean * sum(questions[: fold + 1]) for fold, mean in enumerate(means)]
    return [(total - before) / own for total, before, own in zip(totals, [0.0, *totals], questions, strict=False)]


def best_score(trial: FrozenTrial) -> float:
    """The best score of a trial's epochs so far, in [0, 1]; NaN before the first.

    A complete trial whose epochs were not recorded has its final score.
    """
    final = trial.value if ranking.can_be_best(trial) else None
    return max(epoch_scores(trial).values(), default=math.nan if final is None else final)


def best_epoch(trial: FrozenTrial) -> int:
    """The first epoch that reached the best score of all epochs; 0 if no epoch has a score."""
    scores = epoch_scores(trial)
    return max(scores, key=lambda epoch: (scores[epoch], -epoch), default=0)


def best_length(snapshot: RunSnapshot, trial: FrozenTrial) -> int:
    """The number of epochs with the best mean score of a trial's runs: its own, and those under fresh seeds.

    The best epoch of one curve is partly luck; that of a mean curve less so. Besides the trial itself only runs count
    that are complete and as long. 0 if no epoch has a score.
    """
    own = epoch_scores(trial)
    repeated = (run for run in snapshot.confirmations if run.user_attrs.get(CONFIRMS) == trial.number)
    curves = [own, *(epoch_scores(run) for run in repeated if ranking.can_be_best(run))]
    as_long = [curve for curve in curves if curve.keys() >= own.keys()]
    means = {epoch: statistics.fmean(curve[epoch] for curve in as_long) for epoch in own}
    return max(means, key=lambda epoch: (means[epoch], -epoch), default=0)


def epochs(trial: FrozenTrial) -> int:
    """How many epochs a trial reported."""
    return max(trial.intermediate_values, default=0)


def started(trial: FrozenTrial) -> datetime | None:
    """When a trial was started, or continued if its search was resumed since, in UTC; None if it was not started.

    Optuna records no pause. So for a continued trial the time before the pause is left out, to not count the pause.
    """
    resumed = trial.user_attrs.get(RESUMED)
    start = datetime.fromisoformat(resumed) if resumed else trial.datetime_start
    return utc(start) if start else None


def ended(trial: FrozenTrial) -> datetime | None:
    """When a trial ended or was stopped, in UTC; None if it runs or was interrupted.

    If an older version recorded an end before the start, because the machine's clock was set back, it is the start plus
    the trial's training time.
    """
    if is_stopped(trial):
        return utc(datetime.fromisoformat(trial.user_attrs[run_folder.STOPPED]))
    if trial.datetime_complete is None:
        return None
    end, start = utc(trial.datetime_complete), started(trial)
    if start is None or end >= start:
        return end
    return start + timedelta(seconds=float(trial.user_attrs.get(SECONDS, 0.0)))


def in_order_of_end(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that have ended, the first to end first.

    Trials of older versions, whose place in this order was not recorded, come first, by time and number.
    """

    def place(trial: FrozenTrial) -> tuple[int, bool, datetime | None, int]:
        end = ended(trial)
        return trial.user_attrs.get(ENDED, -1), end is None, end, trial.number

    return sorted((trial for trial in trials if trial.state.is_finished()), key=place)


def reason(trial: FrozenTrial) -> str:
    """Why a trial ended or was stopped, or that it has not; empty for one that ran all its epochs."""
    if trial.state is TrialState.WAITING:
        return "not started"
    if trial.state is TrialState.RUNNING and not is_stopped(trial):
        return "not finished"
    missing = "no reason recorded" if trial.state is TrialState.FAIL else ""
    return str(trial.user_attrs.get(REASON) or missing)
