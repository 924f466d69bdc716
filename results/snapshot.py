"""A run folder's content, read once, so that every table made from it tells of the same moment of the search."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from results import run_folder
from results.run_folder import BASELINE_TRIAL, CONFIRMATION, REASON, RESUMED, SEARCH, STOPPED_BY, RunFolder, is_own
from san_core.errors import InputError

COMPLETE, PRUNED, DIVERGED, FAILED = "complete", "pruned", "diverged", "failed"
RUNNING, WAITING = "running", "waiting"

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
class Record:
    """What a run folder said when it was read.

    Attributes:
        folder: where it was read from.
        settings: what the search was told.
        environment: versions and hardware; empty where the search left none.
        search: the trials that this search trains itself, by number.
        confirmations: the trials that repeat some of them under fresh seeds, by number.
        left_out: how many trials of the journal are copies of another run's or of one another, which were not trained.
        stopped_by: what ended the search; empty where it has not ended.
    """

    folder: RunFolder
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    search: Sequence[FrozenTrial]
    confirmations: Sequence[FrozenTrial]
    left_out: int = 0
    stopped_by: str = ""

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def baseline_trial(self) -> int | None:
        """Number of the trial that runs the baseline configuration; None where the search has none."""
        return BASELINE_TRIAL if self.settings.get("baseline_first", True) else None

    @property
    def metric(self) -> str:
        """Name of the metric that scored the trials."""
        return str(self.settings.get("metric", ACCURACY))

    @property
    def metric_title(self) -> str:
        """What people call that metric."""
        return str(self.settings.get("metric_title", ACCURACY))


Source = RunFolder | Record
"""What a table is made from: a run folder, or a record of one where several tables have to agree."""


def read(source: Source) -> Record:
    """Reads a run folder; a record is returned as it is.

    Raises:
        InputError: if a file is missing or damaged, or no search was started in the folder.
    """
    if isinstance(source, Record):
        return source
    try:
        study = source.study(SEARCH)
        found, stopped_by = study.get_trials(deepcopy=False), study.user_attrs.get(STOPPED_BY)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"cannot read {source.journal}: {error}") from error
    try:
        confirmations = source.study(CONFIRMATION).get_trials(deepcopy=False)
    except InputError:  # the search has not come to it, or was told to leave it out
        confirmations = []
    environment = source.environment if source.environment_file.is_file() else {}
    search = [trial for trial in found if is_own(trial)]
    left_out = len(found) - len(search)
    return Record(source, source.settings, environment, search, confirmations, left_out, str(stopped_by or ""))


def state_of(trial: FrozenTrial) -> str:
    """A trial's state in the words of reports. Optuna keeps a diverged trial as complete, with the lowest score."""
    return DIVERGED if run_folder.DIVERGED in trial.user_attrs else STATES[trial.state]


def epoch_scores(trial: FrozenTrial) -> dict[int, float]:
    """The validation score, in [0, 1], after each epoch that has one."""
    return {epoch: score for epoch, score in sorted(trial.intermediate_values.items()) if not math.isnan(score)}


def best_score(trial: FrozenTrial) -> float:
    """The best of a trial's epochs so far, in [0, 1]; NaN before the first."""
    return max(epoch_scores(trial).values(), default=math.nan)


def best_epoch(trial: FrozenTrial) -> int | None:
    """The first epoch that reached the trial's best score."""
    return next((epoch for epoch, score in epoch_scores(trial).items() if score == best_score(trial)), None)


def epochs(trial: FrozenTrial) -> int:
    """How many epochs a trial reported."""
    return max(trial.intermediate_values, default=0)


def started(trial: FrozenTrial) -> datetime | None:
    """When a trial began, or went on if its search was resumed meanwhile; None before it was started.

    What it did before the pause is left out rather than the pause counted: Optuna knows of none.
    """
    resumed = trial.user_attrs.get(RESUMED)
    return datetime.fromisoformat(resumed) if resumed else trial.datetime_start


def reason(trial: FrozenTrial) -> str:
    """Why a trial ended, or why it has not; empty for one that ran to its end."""
    if trial.state in {TrialState.RUNNING, TrialState.WAITING}:
        return "not finished" if trial.state is TrialState.RUNNING else "not started"
    missing = "no reason recorded" if trial.state is TrialState.FAIL else ""
    return str(trial.user_attrs.get(REASON) or missing)
