"""The study: which trial to start next, whether a trial goes on after an epoch, and what became of it.

`Study.ask`, `Study.report` and `Study.finish` are called in this order for each trial. Everything is written to the
run's journal through Optuna. `tuning.execution.tune_adapters` connects the study to Ray Tune.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count

import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from results.clock import Clock
from results.jobs import Job
from results.ranking import best_trial
from results.run_folder import (
    BY_QUESTION,
    DIVERGED,
    DUPLICATE_OF,
    ENDED,
    FOLD_EPOCHS,
    IS_BASELINE,
    REASON,
    REPEATS,
    RESUMED,
    SECONDS,
    SEED,
    STOPPED,
    STOPPED_BY,
    WORKER,
    is_own,
    repeats,
)
from results.snapshot import curve_over_folds, in_order_of_end
from tuning.study.configurations import TriedConfigurations
from tuning.study.failures import FailuresInARow
from tuning.study.lengths import Lengths
from tuning.study.live_trial import Epoch, InterruptedTrial, LiveTrial
from tuning.study.pruners import SuccessiveHalving
from tuning.study.stop_rules import SinceBest, StopRules
from tuning.study.time_spent import TimeSpent, trained_seconds
from tuning.study.trial_source import TrialSource

MAX_DUPLICATES = 50
"""The search ends after so many new trials in a row whose configurations were tried before."""


class Study:
    """The trials of a run, over one Optuna study in the run's journal.

    Trials that the journal has as running were interrupted, or stopped by a bound on time. They are started first, to
    go on. A failed trial that another one runs again does not count as one of the study's.

    Args:
        study: Optuna's study.
        source: makes new trials.
        rules: the rules that end the study.
        lengths: how long a trial is that is not stopped early.
        clock: the clock of the run.

    Attributes:
        optuna_study: Optuna's study.
        rules: the rules that end the study.
        epochs: number of epochs of a trial that is not stopped early, on all folds together.
        fold_epochs: number of epochs on each fold; None without folds.
        clock: the clock of the run, which never goes back.
        live: trials that were started and have not ended, by number.
        best: the best trial so far, by the rule of `results.ranking`; None if no trial can be the best.
        baseline: number of the first trial with the baseline configuration; None if there is none.
        ended_before: number of trials that had ended when the study was opened.
        epochs_recorded: number of epochs that all trials have recorded since the study was opened.
        jobs: jobs that Ray Tune runs now, by number; empty without cohorts.
        on_change: function called after every change, to show progress.
    """

    def __init__(
        self, study: optuna.Study, source: TrialSource, *, rules: StopRules, lengths: Lengths, clock: Clock
    ) -> None:
        self.optuna_study = study
        self.rules = rules
        self.epochs = lengths.all_epochs
        self.fold_epochs = lengths.fold_epochs
        self.clock = clock
        self.live: dict[int, LiveTrial] = {}
        self.jobs: dict[int, Job] = {}
        self.epochs_recorded = 0
        self.on_change: Callable[[], object] = lambda: None
        self._source = source
        trials = study.get_trials(deepcopy=False)
        waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
        # The sampler is chosen by the number of the trial that Optuna gives next: first those that wait, then new ones.
        self._next_numbers = chain(waiting, count(len(trials)))
        again = repeats(trials)
        own = [trial for trial in trials if is_own(trial) and trial.number not in again]
        self.baseline = next((trial.number for trial in own if IS_BASELINE in trial.user_attrs), None)
        self._ended = in_order_of_end(own)
        self._places = count(1 + max((trial.user_attrs.get(ENDED, -1) for trial in trials), default=-1))
        self.ended_before = len(self._ended)
        self.best = best_trial(self._ended)
        self._since_best = SinceBest(self._ended)
        self._interrupted = deque(
            InterruptedTrial(trial, by_earlier_end=True) for trial in trials if trial.state == TrialState.RUNNING
        )
        self._tried = TriedConfigurations(source.parameters.values(), self._ended, source.without_effect)
        self._duplicates = {trial.number for trial in trials if DUPLICATE_OF in trial.user_attrs}
        self._failures = FailuresInARow()
        self._stop_reason = ""
        self._time = TimeSpent(study)

    @property
    def ended(self) -> Sequence[FrozenTrial]:
        """Trials that ended, in the order in which they did."""
        return self._ended

    @property
    def interrupted(self) -> Sequence[int]:
        """Numbers of the trials that were interrupted, or stopped by a bound on time, and wait to go on."""
        return [each.trial.number for each in self._interrupted]

    @property
    def exhausted(self) -> bool:
        """Whether no trial is left to start, or no time."""
        return bool(self.time_stop_reason() or (self.stop_reason and not self._interrupted))

    @property
    def stop_reason(self) -> str:
        """Why no new trial starts; empty while one may."""
        if not self._stop_reason:
            started = len(self._ended) + len(self.live) + len(self._interrupted)
            self._stop_reason = (
                self.time_stop_reason()
                or self.rules.trials_stop_reason(started, self._since_best.count)
                or (self._tried.all_tried_reason() if self._source.unique else "")
            )
        return self._stop_reason

    def ask(self) -> LiveTrial | None:
        """Starts the next trial, an interrupted one before a new one; returns None if no trial is left."""
        duplicates = 0
        while not self.exhausted:
            trial, scores = self._resume() if self._interrupted else (self._sample(), {})
            first = self._tried.record(trial)
            if first == trial.number or not self._source.unique:
                return self._start(trial, scores)
            self._reject_duplicate(trial, first)
            duplicates += 1
            if duplicates == MAX_DUPLICATES:
                self._stop_reason = f"no new configuration in {MAX_DUPLICATES} draws"
        return None

    def report(self, number: int, epoch: Epoch) -> bool:
        """Records an epoch of a trial, see `record`; returns whether the trial is to go on, see `decide`.

        Only the last recorded epoch is decided on: a trial goes on after one that it reports again.
        """
        self.record(number, epoch)
        return epoch.number < self.live[number].epochs or self.decide(number)

    def record(self, number: int, epoch: Epoch) -> None:
        """Records an epoch of a trial; one that diverged with score 0.

        A trial that was interrupted may report epochs again: the recorded score stays.
        """
        live = self.live[number]
        self.note_seconds(number, epoch.seconds)
        live.worker = epoch.worker
        if epoch.number > live.epochs:
            self._failures.clear()
            self.epochs_recorded += 1
            score = live.scores[epoch.number] = 0.0 if epoch.diverged else epoch.score
            self._tell_pruner(live.trial, epoch, score)
        if epoch.number == live.epochs or epoch.diverged:
            live.diverged = epoch.diverged

    def _tell_pruner(self, trial: optuna.Trial, epoch: Epoch, score: float) -> None:
        """Records the score of a new epoch, and what else the pruner will need of it."""
        pruner, by_question = self.optuna_study.pruner, ""
        if isinstance(pruner, SuccessiveHalving):
            if pruner.compares_questions and pruner.is_rung(epoch.number, trial.number):
                by_question = epoch.by_question
            if by_question:  # before the score: a trial that has this was recorded whole
                trial.set_user_attr(f"{BY_QUESTION}{epoch.number}", by_question)
            if not epoch.diverged:
                pruner.add_score(trial.number, epoch.number, score, by_question)
        trial.report(score, epoch.number)

    def note_seconds(self, number: int, seconds: float) -> None:
        """Notes how long a trial has trained so far, before its epoch is recorded."""
        live = self.live[number]
        self._time.add_trained(seconds - live.seconds)
        live.seconds = seconds

    def decide(self, number: int) -> bool:
        """Whether a trial is to go on after the last epoch that was recorded."""
        live = self.live[number]
        live.stop_reason, live.out_of_time = self._why_stop(live), False
        if not live.stop_reason and live.epochs < self.epochs and (reason := self.time_stop_reason()):
            when = f"after epoch {live.epochs}" if live.epochs else "before its first epoch"
            live.stop_reason, live.out_of_time = f"stopped {when}: {reason}", True
        self.on_change()
        return live.epochs < self.epochs and not live.stop_reason

    def finish(self, number: int, error: str = "") -> None:
        """Records a trial's end: failed if there is an error, pruned if it was told to stop early, else complete.

        One that a bound on time stopped has not ended: it goes on when the search is resumed with a larger bound.
        """
        if self.live[number].out_of_time and not error:
            self._set_aside(number)
            return
        live = self.live.pop(number)
        _record(live, error or live.stop_reason)
        live.trial.set_user_attr(ENDED, next(self._places))
        ended = self._tell(live, failed=bool(error))
        if error and REPEATS not in ended.user_attrs:  # one that failed before may fail for a reason of its own
            self._failures.add(error)
        self._ended.append(ended)
        self._since_best.add(ended)
        self._time.record_now_and_then()
        self.best = best_trial([ended] if self.best is None else [self.best, ended])
        self.on_change()

    def failing(self, at_once: int) -> str:
        """Why the search should end: as many trials in a row as run at once failed for one reason; else empty."""
        return self._failures.describe(at_once)

    def requeue(self, number: int) -> None:
        """Has a trial that was interrupted started again; what it reported stays."""
        live = self.live.pop(number)
        # Its next start and report count what is not recorded again.
        self._time.add_trained(trained_seconds(live.trial) - live.seconds)
        trial = self.optuna_study.get_trials(deepcopy=False)[live.trial.number]
        self._interrupted.append(InterruptedTrial(trial, by_earlier_end=False))
        self.on_change()

    def _set_aside(self, number: int) -> None:
        """Leaves a trial that a bound on time stopped open in the journal."""
        live = self.live[number]
        _record(live, live.stop_reason)
        live.trial.set_user_attr(STOPPED, self.clock.now().isoformat())
        self.requeue(number)

    def finish_or_interrupt_trials(self) -> None:
        """Leaves no trial live, because Ray Tune has ended.

        Finishes each live trial that has all its epochs or was told to stop. The others stay open in the journal as
        interrupted trials, to go on when Tune is started again. Does nothing if no trial is live, as at the normal end
        of a search.
        """
        self.jobs.clear()
        for number, live in sorted(self.live.items()):
            if live.stop_reason or len(live.scores) == self.epochs:
                self.finish(number)
            else:
                self.requeue(number)

    def record_end(self) -> None:
        """Records that the study has ended, and why."""
        self._time.record()
        self.optuna_study.set_user_attr(STOPPED_BY, self.stop_reason)

    def _sample(self) -> optuna.Trial:
        """A new trial."""
        number = next(self._next_numbers)
        return self._source.new_trial(self.optuna_study, number, at_random=self._follows_duplicate(number))

    def _follows_duplicate(self, number: int) -> bool:
        """Whether the trial before was a duplicate, so that this one is drawn at random: it might be the same again."""
        return number - 1 in self._duplicates

    def _resume(self) -> tuple[optuna.Trial, Mapping[int, float]]:
        """The interrupted trial that has waited longest, and its scores so far."""
        interrupted = self._interrupted.popleft()
        at_random = self._follows_duplicate(interrupted.trial.number)
        trial = self._source.restored_trial(self.optuna_study, interrupted.trial, at_random=at_random)
        if interrupted.by_earlier_end:
            trial.set_user_attr(RESUMED, self.clock.now().isoformat())
        return trial, interrupted.trial.intermediate_values

    def _start(self, trial: optuna.Trial, scores: Mapping[int, float]) -> LiveTrial:
        known, seed = trial.user_attrs, self._source.seed_of(trial)
        live = LiveTrial(trial, seed, dict(scores), trained_seconds(trial), own_order=self._source.own_order)
        if known.get(STOPPED):
            trial.set_user_attr(STOPPED, "")
        if self.fold_epochs is not None and FOLD_EPOCHS not in known:
            trial.set_user_attr(FOLD_EPOCHS, self.fold_epochs)
        if SEED not in known:
            trial.set_user_attr(SEED, live.seed)
        self.live[trial.number] = live
        self.on_change()
        return live

    def _reject_duplicate(self, trial: optuna.Trial, first: int) -> None:
        """Ends a trial that has the configuration of an earlier one, before it starts."""
        self._duplicates.add(trial.number)
        trial.set_user_attr(DUPLICATE_OF, first)
        trial.set_user_attr(REASON, f"the configuration of trial {first}")
        self.optuna_study.tell(trial, state=TrialState.FAIL)

    def _why_stop(self, live: LiveTrial) -> str:
        """Why a trial is to stop early after its last epoch; empty if it is not. The baseline is never pruned."""
        if live.diverged:
            return f"diverged in epoch {live.epochs}: {live.diverged}"
        if live.epochs == self.epochs or not live.scores:
            return ""
        if live.trial.should_prune() and IS_BASELINE not in live.trial.user_attrs:
            return f"pruned after epoch {live.epochs}"
        return ""

    def _tell(self, live: LiveTrial, *, failed: bool) -> FrozenTrial:
        """Tells Optuna how a trial ended.

        A trial that diverged counts as complete with the lowest score, 0, and as one that broke a constraint: each
        sampler learns from one of the two to keep away from its configuration. It does not count as pruned, because TPE
        takes a pruned trial for the better the longer it ran.
        """
        curve = curve_over_folds(live.scores, self.fold_epochs)
        state, value = TrialState.COMPLETE, max(curve.values(), default=None)
        if failed or not live.scores:
            state, value = TrialState.FAIL, None
        elif live.diverged:
            value = 0.0
            live.trial.set_user_attr(DIVERGED, True)
            if isinstance(self.optuna_study.sampler, TPESampler):  # others want all trials or none to have a constraint
                live.trial.set_constraint(DIVERGED, 1.0)
        elif live.stop_reason:
            state, value = TrialState.PRUNED, None
        return self.optuna_study.tell(live.trial, value, state=state, skip_if_finished=True)

    def time_stop_reason(self) -> str:
        """Why running trials are to stop after their epoch; empty while they may go on."""
        return self.rules.time_stop_reason(self._time.wall(), self._time.trained)


def _record(live: LiveTrial, reason: str) -> None:
    """Records how long and where a trial ran, and why it stopped."""
    live.trial.set_user_attr(SECONDS, round(live.seconds, 3))
    live.trial.set_user_attr(REASON, reason)
    if live.worker:
        live.trial.set_user_attr(WORKER, live.worker)
