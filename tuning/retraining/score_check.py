"""Trains one trial of a search again, alone, and compares its scores with the recorded ones."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from optuna.trial import FrozenTrial

from results.jobs import read_jobs
from results.run_folder import FOLD_EPOCHS, RunFolder
from results.snapshot import curve_over_folds
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.folds import new_training
from san_core.random_states import keep_random_states
from san_core.shared_training import SharedTraining
from san_core.training import EpochResult
from tuning.execution.trial_setup import largest_like, upper_ends
from tuning.training_settings import training_settings


@dataclass(frozen=True)
class ScoreCheck:
    """The recorded scores of a trial, and those of the same training run again.

    Attributes:
        trial: number of the trial.
        recorded: score in [0, 1] of each epoch in the search, by epoch.
        found: score of each epoch of the training run again, by epoch.
        questions: number of validation questions that were scored.
        fold_epochs: epochs on each fold; None without folds.
    """

    trial: int
    recorded: Mapping[int, float]
    found: Mapping[int, float]
    questions: int
    fold_epochs: int | None = None

    @property
    def reached(self) -> bool:
        """Whether the best score is as high as the recorded one, or lower by no more than chance."""
        return self._best(self.found) >= self._best(self.recorded) or self.within_chance

    @property
    def within_chance(self) -> bool:
        """Whether the best scores differ by at most two standard errors of a score over this number of questions."""
        best = self._best(self.recorded)
        return abs(self._best(self.found) - best) <= 2 * math.sqrt(best * (1 - best) / self.questions)

    def describe(self) -> str:
        """The comparison in one sentence."""
        recorded, found = self._best(self.recorded), self._best(self.found)
        start = f"trial {self.trial}: recorded {recorded:.2%}, run again {found:.2%}"
        if self.found == self.recorded:
            return f"{start}: the same in every epoch, to the last bit"
        difference = f"{100 * (found - recorded):+.2f} points"
        if found > recorded and not self.within_chance:
            return f"{start}: surpassed ({difference}, more than chance on {self.questions:,} questions)"
        if self.reached:
            return f"{start}: reached ({difference}, within chance on {self.questions:,} questions)"
        return f"{start}: NOT reached ({difference}, more than chance on {self.questions:,} questions)"

    def _best(self, scores: Mapping[int, float]) -> float:
        return max(curve_over_folds(scores, self.fold_epochs).values())


@keep_random_states()
def check_score(run: RunFolder, trial: FrozenTrial, data: PreparedData) -> ScoreCheck:
    """Trains a trial again under its own seed, for as many epochs as it was trained.

    The same machine gives the same scores; a trial of a cohort is trained at the width that it had. On another machine,
    or with another number of threads, they differ by rounding.

    Args:
        run: the run folder; its settings say the number of threads.
        trial: trial of the search, with at least one epoch.
        data: the data set that it searched on.
    """
    recorded = dict(sorted(trial.intermediate_values.items()))
    config = TrainingConfig.from_dict(training_settings(run.settings, trial))
    found: dict[int, float] = {}

    def report(result: EpochResult) -> bool:
        found[result.epoch] = 0.0 if result.diverged else result.score or 0.0
        print_message(
            f"epoch {result.epoch}: {found[result.epoch]:.2%}, recorded {recorded.get(result.epoch, math.nan):.2%}"
        )
        return result.epoch < max(recorded)

    threads, folds = torch.get_num_threads(), run.settings.get("folds", 1)
    torch.set_num_threads(run.setting("cpus_per_trial"))
    try:
        if widths := _widths(run, trial):
            largest = largest_like(config, run.setting("fixed"), upper_ends(trial.distributions))
            width = max(widths.values())
            shared = SharedTraining(largest, width, data, folds=folds, metric=run.setting("metric"))
            _train_at_widths(shared, config, widths, report)
        else:
            training = new_training(config, data, folds, metric=run.setting("metric"))
            while not training.finished:
                result = training.run_epoch()
                if not report(result) or result.diverged:
                    break
    finally:
        torch.set_num_threads(threads)
    questions = run.settings.get("validation_questions") or data.manifest["counts"]["validation"]
    return ScoreCheck(trial.number, recorded, found, questions, trial.user_attrs.get(FOLD_EPOCHS))


def _widths(run: RunFolder, trial: FrozenTrial) -> dict[int, int]:
    """The width of the step that trained a trial, by epoch; empty without cohorts."""
    jobs = [job for job in read_jobs(run.study().user_attrs) if trial.number in job.trials]
    return {epoch: job.width for job in jobs for epoch in range(job.first + 1, job.last + 1)}


def _train_at_widths(
    shared: SharedTraining, config: TrainingConfig, widths: Mapping[int, int], report: Callable[[EpochResult], bool]
) -> None:
    """Trains a configuration alone, in each epoch by the step of the given width."""
    member = shared.new_member(config)
    while True:
        (result,) = shared.train_epoch([member], width=widths.get(member.epoch + 1, 1))
        if not report(result) or result.diverged:
            return
