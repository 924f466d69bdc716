"""The study: what was tried, what came of it, what to try next.

Speaks only to Optuna; `tuning.execution.tune_adapters` lends it to Ray Tune.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, count
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from results.run_folder import (
    BASELINE,
    DIVERGED,
    DUPLICATE_OF,
    REASON,
    RESUMED,
    SECONDS,
    SEED,
    STOPPED_BY,
    WORKER,
    is_own,
)
from tuning.study.discrete import configurations, tidy
from tuning.study.stop_rules import StopRules

DUPLICATES = 50
"""So many draws in a row that were tried before end the search."""


@dataclass
class LiveTrial:
    """A trial that has been handed out and has not ended.

    Attributes:
        trial: the trial in Optuna's study.
        seed: of its training.
        scores: of each epoch so far, by epoch.
        seconds: its epochs took, those before an interruption included.
        worker: where it runs.
        stopped: why it was told to stop early; empty while it may go on.
        diverged: whether it was told to stop because going on is useless.
    """

    trial: optuna.Trial
    seed: int
    scores: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = ""
    stopped: str = ""
    diverged: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What makes this trial's training: its parameters and its seed."""
        return {**self.trial.params, "seed": self.seed}


@dataclass(frozen=True)
class Epoch:
    """What a trial reports after an epoch.

    Attributes:
        number: epochs it has trained, >= 1.
        score: on the validation split, in [0, 1].
        seconds: all its epochs took.
        diverged: why going on is useless; empty where it is not.
        worker: where it ran.
    """

    number: int
    score: float
    seconds: float
    diverged: str = ""
    worker: str = ""


@dataclass(frozen=True)
class Draws:
    """How new trials come about.

    Attributes:
        parameters: the ranges.
        seed_of: training seed of a trial.
        sampler_of: sampler that chooses the trial of a number. What it draws follows from that number and the
            trials before, so that a resumed search asks for what it would have asked for.
        unique: whether a configuration that was tried before is passed over.
    """

    parameters: Mapping[str, BaseDistribution]
    seed_of: Callable[[FrozenTrial | optuna.Trial], int]
    sampler_of: Callable[[int], BaseSampler]
    unique: bool = True


class Study:
    """A sequence of trials over one Optuna study in the run's journal.

    Trials that the journal holds as running were interrupted: they are handed out first, to go on.

    Args:
        study: where trials are asked for and told.
        draws: how new trials come about.
        rules: when it is over.
        epochs: of a trial that is not stopped.

    Attributes:
        live: trials that have been handed out and have not ended, by number.
        best: the complete trial with the best score, the first to end of equals; None if there is none.
        baseline: number of the first trial of the baseline configuration; None if there is none.
        ended_before: trials that had ended when the search was resumed; 0 for a new one.
        on_change: called after every change, for whoever shows progress.
    """

    def __init__(self, study: optuna.Study, draws: Draws, *, rules: StopRules, epochs: int) -> None:
        self.optuna = study
        self.rules = rules
        self.epochs = epochs
        self.live: dict[int, LiveTrial] = {}
        self.on_change: Callable[[], object] = lambda: None
        self._draws = draws
        trials = study.get_trials(deepcopy=False)
        own = [trial for trial in trials if is_own(trial)]
        waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
        self._numbers = chain(waiting, count(len(trials)))
        started = [trial for trial in own if trial.state != TrialState.WAITING]
        self._interrupted = [trial for trial in started if trial.state == TrialState.RUNNING]
        self._paused = {trial.number for trial in self._interrupted}  # by the end of an earlier run of the search
        self._ended = sorted((trial for trial in started if trial.state.is_finished()), key=_end)
        self.best = max(filter(competes, self._ended), key=_value, default=None)
        self.baseline = next((trial.number for trial in own if BASELINE in trial.user_attrs), None)
        self._first = {_configuration(trial): trial.number for trial in self._ended}
        self._asked = len(started)
        self._over = ""
        self.ended_before = len(self._ended)
        self._trained_before = sum(float(trial.user_attrs.get(SECONDS, 0.0)) for trial in self._ended)
        self._configurations = configurations(draws.parameters.values()) if draws.unique else None
        self._wall_before = float(study.user_attrs.get(SECONDS, 0.0))
        self._opened = time.monotonic()

    @property
    def ended(self) -> Sequence[FrozenTrial]:
        """Trials that ended, oldest first."""
        return self._ended

    @property
    def exhausted(self) -> bool:
        """Whether no trial is left to hand out."""
        return not self._interrupted and bool(self.over)

    @property
    def over(self) -> str:
        """Why no new trial is handed out; empty while one is."""
        if not self._over:
            self._over = (
                self.rules.time_is_up(self._wall(), self._trained())
                or self.rules.no_more(self._asked, self._ended)
                or self._nothing_new()
            )
        return self._over

    def ask(self) -> LiveTrial | None:
        """Hands out the next trial, one that was interrupted before a new one; None if there is none left."""
        duplicates = 0
        while not self.exhausted:
            interrupted = bool(self._interrupted)
            earlier = self._interrupted.pop(0) if interrupted else None
            trial = self._take_up(earlier) if earlier else self._draw(duplicates)
            first = self._first.setdefault(_configuration(trial), trial.number)
            if self._draws.unique and first != trial.number:
                duplicates += 1
                self._pass_over(trial, first)
                if duplicates == DUPLICATES:
                    self._over = f"no new configuration in {DUPLICATES} draws"
                continue
            self._asked += not interrupted
            return self._hand_out(trial, earlier.intermediate_values if earlier else {})
        return None

    def report(self, number: int, epoch: Epoch) -> bool:
        """Records an epoch; returns whether the trial is to go on.

        A diverged epoch is recorded with score 0. A trial that was interrupted may report epochs again: what was
        recorded stays, and only the last of them is decided on.
        """
        live = self.live[number]
        live.seconds, live.worker = epoch.seconds, epoch.worker
        if epoch.number < max(live.scores, default=0):
            return True
        if epoch.number not in live.scores:
            live.scores[epoch.number] = 0.0 if epoch.diverged else epoch.score
            live.trial.report(live.scores[epoch.number], epoch.number)
        live.diverged = bool(epoch.diverged)
        live.stopped = self._why_stop(live, epoch)
        self.on_change()
        return epoch.number < self.epochs and not live.stopped

    def finish(self, number: int, error: str = "") -> None:
        """Records a trial's end: complete, pruned if it was told to stop, failed if there is an error.

        A diverged trial counts as complete with the lowest score, 0, and as one that broke a constraint: every sampler
        learns from one or the other to keep away. TPE would take a stopped trial for the better the longer it ran.
        """
        live = self.live.pop(number)
        trial = live.trial
        trial.set_user_attr(SECONDS, round(live.seconds, 3))
        trial.set_user_attr(REASON, error or live.stopped)
        if live.worker:
            trial.set_user_attr(WORKER, live.worker)
        if error or not live.scores:
            told = self.optuna.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        elif live.diverged:
            trial.set_user_attr(DIVERGED, True)
            if isinstance(self.optuna.sampler, TPESampler):  # a Gaussian process wants all trials or none to have one
                trial.set_constraint(DIVERGED, 1.0)
            told = self.optuna.tell(trial, 0.0, skip_if_finished=True)
        elif live.stopped:
            told = self.optuna.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            told = self.optuna.tell(trial, max(live.scores.values()), skip_if_finished=True)
        self._ended.append(told)
        if competes(told) and (self.best is None or _value(told) > _value(self.best)):
            self.best = told
        self._trained_before += live.seconds
        self.note_time()
        self.on_change()

    def take_back(self, number: int) -> None:
        """Takes a trial back whose worker failed, to hand it out again; what it reported stays."""
        live = self.live.pop(number)
        self._interrupted.append(self.optuna.get_trials(deepcopy=False)[live.trial.number])
        self.on_change()

    def note_time(self) -> None:
        """Writes down how long the search has run, for the budget of one that goes on later."""
        self.optuna.set_user_attr(SECONDS, round(self._wall(), 3))

    def interrupt(self) -> None:
        """Ends the trials that had all their epochs or were told to stop; the others stay open, to be resumed."""
        for number, live in list(self.live.items()):
            if live.stopped or len(live.scores) == self.epochs:
                self.finish(number)
        self.live.clear()

    def close(self) -> None:
        """Writes down why the search is over."""
        self.note_time()
        self.optuna.set_user_attr(STOPPED_BY, self.over)

    def _why_stop(self, live: LiveTrial, epoch: Epoch) -> str:
        """Why a trial is to stop after this epoch; empty if it may go on. A baseline competes, but goes on."""
        if epoch.diverged:
            return f"diverged in epoch {epoch.number}: {epoch.diverged}"
        if epoch.number == self.epochs:
            return ""
        if time_is_up := self.rules.time_is_up(self._wall(), self._trained()):
            return f"stopped after epoch {epoch.number}: {time_is_up}"
        if live.trial.should_prune() and BASELINE not in live.trial.user_attrs:
            return f"pruned after epoch {epoch.number}"
        return ""

    def _draw(self, duplicates: int) -> optuna.Trial:
        """A new trial, or one that was given beforehand; at random where the sampler repeats itself."""
        number = next(self._numbers)
        self.optuna.sampler = RandomSampler(seed=number) if duplicates else self._draws.sampler_of(number)
        return self.optuna.ask(dict(self._draws.parameters))

    def _take_up(self, earlier: FrozenTrial) -> optuna.Trial:
        """An interrupted trial, with the parameters it was not yet given if it was interrupted that early."""
        self.optuna.sampler = self._draws.sampler_of(earlier.number)
        trial = optuna.Trial(self.optuna, earlier._trial_id)
        for name, distribution in self._draws.parameters.items():
            trial._suggest(name, distribution)  # what `Study.ask` does
        if earlier.number in self._paused:
            trial.set_user_attr(RESUMED, datetime.now().isoformat())  # noqa: DTZ005 - local and naive, as Optuna's times are
            self._paused.remove(earlier.number)
        return trial

    def _hand_out(self, trial: optuna.Trial, scores: Mapping[int, float]) -> LiveTrial:
        live = LiveTrial(trial, self._draws.seed_of(trial), dict(scores))
        if SEED not in trial.user_attrs:
            trial.set_user_attr(SEED, live.seed)
        self.live[trial.number] = live
        self.on_change()
        return live

    def _pass_over(self, trial: optuna.Trial, first: int) -> None:
        trial.set_user_attr(DUPLICATE_OF, first)
        trial.set_user_attr(REASON, f"the configuration of trial {first}")
        self.optuna.tell(trial, state=TrialState.FAIL)

    def _nothing_new(self) -> str:
        """Says so if the space is discrete and every configuration of it was handed out."""
        count = self._configurations
        return f"all {count} configurations of the space tried" if count and len(self._first) >= count else ""

    def _wall(self) -> float:
        return self._wall_before + time.monotonic() - self._opened

    def _trained(self) -> float:
        """Seconds of training so far, of all trials."""
        return self._trained_before + sum(live.seconds for live in self.live.values())


def _configuration(trial: FrozenTrial | optuna.Trial) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, tidy(value)) for name, value in trial.params.items()))


def _end(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else math.inf


def _value(trial: FrozenTrial) -> float:
    return trial.value or 0.0


def competes(trial: FrozenTrial) -> bool:
    """Whether a trial can be the best: it is complete and did not diverge."""
    return trial.state == TrialState.COMPLETE and DIVERGED not in trial.user_attrs


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The complete trial of this search with the best score, the earliest of equals; None if there is none."""
    best = best_trials(study, 1)
    return study.get_trials(deepcopy=False)[best[0]] if best else None


def best_trials(study: optuna.Study, count: int) -> list[int]:
    """Numbers of the complete trials of this search with the best scores, the earlier of equals first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    own = [trial for trial in complete if is_own(trial) and competes(trial)]
    return [trial.number for trial in sorted(own, key=lambda trial: (-_value(trial), trial.number))[:count]]
