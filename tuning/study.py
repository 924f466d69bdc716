"""The study: what was tried, what came of it, what to try next.

Speaks only to Optuna; `tuning.tune_adapters` lends it to Ray Tune.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search_spaces import SearchSpace
from tuning.pruning import SuccessiveHalving
from tuning.run_folder import BASELINE_TRIAL, CONFIRMATION, CONFIRMS, REASON, SEARCH, SECONDS, SEED, RunFolder

SEARCH_SEEDS, CONFIRMATION_SEEDS, RETRAINING_SEEDS, SAMPLER_SEEDS = range(4)
"""Which series of seeds, so that no two uses share one."""


def training_seed(study_seed: int, series: int, number: int) -> int:
    """The seed of one training run; it follows from the study's seed and the run's number alone."""
    return int(np.random.SeedSequence([study_seed, series, number]).generate_state(1)[0])


@dataclass
class LiveTrial:
    """A trial that has been handed out and has not ended.

    Attributes:
        trial: the trial in Optuna's study.
        seed: of its training.
        scores: of each epoch so far, by epoch.
        seconds: its epochs took, those before an interruption included.
        stopped: why it was told to stop early; empty while it may go on.
    """

    trial: optuna.Trial
    seed: int
    scores: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What makes this trial's training: its parameters and its seed."""
        return {**self.trial.params, "seed": self.seed}


class Study:
    """A sequence of trials over one Optuna study in the run's journal.

    Trials that the journal holds as running were interrupted: they are handed out first, to go on.

    Args:
        study: where trials are asked for and told.
        parameters: the ranges.
        total: number of trials in the end.
        epochs: of a trial that is not stopped.
        seed_of: training seed of a trial.
        sampler_of: sampler that chooses the trial of a number. What it draws follows from that number and the
            trials before, so that a resumed search asks for what it would have asked for.

    Attributes:
        live: trials that have been handed out and have not ended, by number.
        on_change: called after every change, for whoever shows progress.
    """

    def __init__(
        self,
        study: optuna.Study,
        parameters: Mapping[str, BaseDistribution],
        *,
        total: int,
        epochs: int,
        seed_of: Callable[[optuna.Trial], int],
        sampler_of: Callable[[int], optuna.samplers.BaseSampler],
    ) -> None:
        self.optuna = study
        self.total = total
        self.epochs = epochs
        self.live: dict[int, LiveTrial] = {}
        self.on_change: Callable[[], object] = lambda: None
        self._parameters = dict(parameters)
        self._seed_of = seed_of
        self._sampler_of = sampler_of
        trials = study.get_trials(deepcopy=False)
        self._asked = sum(trial.state != TrialState.WAITING for trial in trials)
        self._interrupted = [trial for trial in trials if trial.state == TrialState.RUNNING]

    @property
    def exhausted(self) -> bool:
        """Whether every trial has been handed out."""
        return self._asked >= self.total and not self._interrupted

    def ask(self) -> LiveTrial:
        """Hands out the next trial, one that was interrupted before a new one."""
        scores: dict[int, float] = {}
        if self._interrupted:
            earlier = self._interrupted.pop(0)
            trial, scores = self._take_up(earlier), dict(earlier.intermediate_values)
        else:
            self.optuna.sampler = self._sampler_of(self._asked)
            self._asked += 1
            trial = self.optuna.ask(self._parameters)
        live = LiveTrial(trial, self._seed_of(trial), scores)
        if SEED not in trial.user_attrs:
            trial.set_user_attr(SEED, live.seed)
        self.live[trial.number] = live
        self.on_change()
        return live

    def _take_up(self, earlier: FrozenTrial) -> optuna.Trial:
        """An interrupted trial, with the parameters it was not yet given if it was interrupted that early."""
        self.optuna.sampler = self._sampler_of(earlier.number)
        trial = optuna.Trial(self.optuna, earlier._trial_id)
        for name, distribution in self._parameters.items():
            trial._suggest(name, distribution)  # what `Study.ask` does
        return trial

    def report(self, number: int, epoch: int, score: float, loss: float, seconds: float) -> bool:
        """Records an epoch; returns whether the trial is to go on.

        A diverged epoch is recorded with score 0, so that the sampler learns to keep away. A trial that was
        interrupted may report epochs again: what was recorded stays, and only the last of them is decided on.

        Args:
            number: the trial's.
            epoch: number of epochs it has trained.
            score: on the validation split, in [0, 1].
            loss: of training; not finite if it diverged.
            seconds: all its epochs took.
        """
        live = self.live[number]
        diverged = not math.isfinite(loss)
        live.seconds = seconds
        if epoch < max(live.scores, default=0):
            return True
        if epoch not in live.scores:
            live.scores[epoch] = 0.0 if diverged else score
            live.trial.report(live.scores[epoch], epoch)
        if diverged:
            live.stopped = f"diverged in epoch {epoch}"
        elif epoch < self.epochs and self._should_prune(live):
            live.stopped = f"pruned after epoch {epoch}"
        self.on_change()
        return epoch < self.epochs and not live.stopped

    def _should_prune(self, live: LiveTrial) -> bool:
        """Asks the pruner. The baseline is asked for too, since asking enters it into the comparison, but goes on."""
        return live.trial.should_prune() and live.trial.number != BASELINE_TRIAL

    def finish(self, number: int, error: str = "") -> None:
        """Records a trial's end: complete, pruned if it was told to stop, failed if there is an error."""
        live = self.live[number]
        live.trial.set_user_attr(SECONDS, round(live.seconds, 3))
        live.trial.set_user_attr(REASON, error or live.stopped)
        if error or not live.scores:
            self.optuna.tell(live.trial, state=TrialState.FAIL, skip_if_finished=True)
        elif live.stopped:
            self.optuna.tell(live.trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            self.optuna.tell(live.trial, max(live.scores.values()), skip_if_finished=True)
        del self.live[number]
        self.on_change()

    def interrupt(self) -> None:
        """Ends the trials that had all their epochs or were told to stop; the others stay open, to be resumed."""
        for number, live in list(self.live.items()):
            if live.stopped or len(live.scores) == self.epochs:
                self.finish(number)
        self.live.clear()


def open_search(run: RunFolder, space: SearchSpace, *, trials: int, epochs: int, seed: int) -> Study:
    """The search in the run's journal, new or to go on with; its first trial is the space's baseline.

    The baseline is never stopped early: every comparison needs its full score.
    """
    study = _open(run, SEARCH, SuccessiveHalving())
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(dict(space.baseline))
    return Study(
        study,
        space.parameters,
        total=trials,
        epochs=epochs,
        seed_of=lambda trial: training_seed(seed, SEARCH_SEEDS, trial.number),
        sampler_of=lambda number: optuna.samplers.TPESampler(seed=training_seed(seed, SAMPLER_SEEDS, number)),
    )


def open_confirmation(
    run: RunFolder, space: SearchSpace, best: FrozenTrial, *, seeds: int, epochs: int, seed: int
) -> Study:
    """A study that repeats the search's best trial and its baseline under fresh seeds, to the end.

    The best of many trials is partly luck; fresh seeds, the same for both, show how much. What was repeated
    before is not repeated again.
    """
    search, study = run.study(), _open(run, CONFIRMATION, optuna.pruners.NopPruner())
    found = study.get_trials(deepcopy=False)
    planned = {(trial.user_attrs[CONFIRMS], trial.user_attrs[SEED]) for trial in found}
    for repeat in range(seeds):
        for number in dict.fromkeys([BASELINE_TRIAL, best.number]):
            attributes = {CONFIRMS: number, SEED: training_seed(seed, CONFIRMATION_SEEDS, repeat)}
            if (number, attributes[SEED]) not in planned:
                study.enqueue_trial(search.trials[number].params, user_attrs=attributes)
    return Study(
        study,
        space.parameters,
        total=len(study.get_trials(deepcopy=False)),
        epochs=epochs,
        seed_of=lambda trial: int(trial.user_attrs[SEED]),
        sampler_of=lambda _: optuna.samplers.RandomSampler(seed=0),  # every parameter is given
    )


def _open(run: RunFolder, name: str, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name, storage=run.storage(), direction="maximize", pruner=pruner, load_if_exists=True
    )


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The complete trial with the best score, the earliest of equals; None if no trial is complete."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
