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
from tuning.run_folder import BASELINE_TRIAL, CONFIRMATION, CONFIRMS, REASON, SEARCH, SECONDS, SEED, RunFolder

SEARCH_SEEDS, CONFIRMATION_SEEDS, RETRAINING_SEEDS = range(3)
"""Which series of training seeds, so that no two uses share one."""


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
        seconds: its epochs took.
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

    Args:
        study: where trials are asked for and told.
        parameters: the ranges.
        total: number of trials in the end.
        epochs: of a trial that is not stopped.
        seed_of: training seed of a trial.

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
    ) -> None:
        self.optuna = study
        self.total = total
        self.epochs = epochs
        self.live: dict[int, LiveTrial] = {}
        self.on_change: Callable[[], object] = lambda: None
        self._parameters = dict(parameters)
        self._seed_of = seed_of
        self._asked = 0

    @property
    def exhausted(self) -> bool:
        """Whether every trial has been handed out."""
        return self._asked >= self.total

    def ask(self) -> LiveTrial:
        """Hands out the next trial."""
        self._asked += 1
        trial = self.optuna.ask(self._parameters)
        live = LiveTrial(trial, self._seed_of(trial))
        trial.set_user_attr(SEED, live.seed)
        self.live[trial.number] = live
        self.on_change()
        return live

    def report(self, number: int, epoch: int, score: float, loss: float, seconds: float) -> bool:
        """Records an epoch; returns whether the trial is to go on.

        A diverged epoch is recorded with score 0, so that the sampler learns to keep away.
        """
        live = self.live[number]
        diverged = not math.isfinite(loss)
        live.scores[epoch] = 0.0 if diverged else score
        live.seconds += seconds
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
        """Ends every trial that is still running, so that none is left open in the journal.

        A trial that had all its epochs, or had been told to stop, ends as it would have.
        """
        for number, live in list(self.live.items()):
            over = live.stopped or len(live.scores) == self.epochs
            self.finish(number, "" if over else "interrupted")
        for trial in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.optuna.tell(trial.number, state=TrialState.FAIL)  # interrupted while it was being asked for


def start_search(run: RunFolder, space: SearchSpace, *, trials: int, epochs: int, seed: int) -> Study:
    """A new search in the run's journal; its first trial is the space's baseline.

    The baseline is never stopped early: every comparison needs its full score.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=SEARCH,
        storage=run.storage(),
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    )
    study.enqueue_trial(dict(space.baseline))
    return Study(
        study,
        space.parameters,
        total=trials,
        epochs=epochs,
        seed_of=lambda trial: training_seed(seed, SEARCH_SEEDS, trial.number),
    )


def start_confirmation(
    run: RunFolder, space: SearchSpace, best: FrozenTrial, *, seeds: int, epochs: int, seed: int
) -> Study:
    """A study that repeats the search's best trial and its baseline under fresh seeds, to the end.

    The best of many trials is partly luck; fresh seeds, the same for both, show how much.
    """
    search = run.study()
    study = optuna.create_study(
        study_name=CONFIRMATION, storage=run.storage(), direction="maximize", pruner=optuna.pruners.NopPruner()
    )
    repeated = list(dict.fromkeys([BASELINE_TRIAL, best.number]))
    for repeat in range(seeds):
        for number in repeated:
            attributes = {CONFIRMS: number, SEED: training_seed(seed, CONFIRMATION_SEEDS, repeat)}
            study.enqueue_trial(search.trials[number].params, user_attrs=attributes)
    return Study(
        study,
        space.parameters,
        total=seeds * len(repeated),
        epochs=epochs,
        seed_of=lambda trial: int(trial.user_attrs[SEED]),
    )


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The complete trial with the best score, the earliest of equals; None if no trial is complete."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
