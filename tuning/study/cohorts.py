"""Cohorts: which trials are trained together, and from which epoch to which.

A *job* trains up to W trials at once from one rung to the next, W being the width. At its end all its trials are
recorded, then the study decides on each, so that no trial is judged before its neighbours are known. Those that go on
wait until W of them have the same epoch; new trials fill the jobs meanwhile.

With several workers jobs end in an order that depends on chance. What the study decides does not: jobs are planned and
decided on in *planned time*, in which a worker takes one unit for an epoch. A job that ends early waits with its last
scores until those that were due before it have ended. So the same seed gives the same trials, decisions and scores.
So that workers need not wait for each other, half as many jobs as there are workers are planned ahead.
"""

from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from results.jobs import Job, read_jobs
from results.preparations import DATA_PARAMETER
from san_core.cohort.network import SHARED_FIELDS
from san_core.shared_training import smallest_width
from tuning.study.live_trial import Epoch, LiveTrial
from tuning.study.pruners import next_decision
from tuning.study.study import Study


@dataclass(frozen=True)
class Attempt:
    """What one worker is to do of a job: all of it, or after a failure a part.

    Attributes:
        job: the job.
        trials: the trials of the job that the worker trains.
        failures: number of times that a worker has failed with them.
    """

    job: Job
    trials: tuple[int, ...]
    failures: int = 0


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        reason: in one line.
        worker_died: whether the worker's process or node died, which may have nothing to do with its trials.
        misplaced: whether the worker was on a node that cannot run trials.
        out_of_memory: whether the device had too little memory.
    """

    reason: str
    worker_died: bool = False
    misplaced: bool = False
    out_of_memory: bool = False


class Cohorts:
    """The jobs of a study. A study that was interrupted goes on with the jobs that its journal has.

    Args:
        study: whose trials are trained.
        width: most trials of a job.
        workers: how many jobs run at once.
        max_failures: how often a trial whose worker fails is tried again.

    Attributes:
        study: whose trials are trained.
        width: most trials of a job; halved when a device has too little memory.
    """

    def __init__(self, study: Study, *, width: int, workers: int, max_failures: int = 2) -> None:
        self.study, self.width = study, width
        self._workers, self._max_failures = workers, max_failures
        self._ready: deque[Attempt] = deque()
        self._running: list[Attempt] = []
        self._undecided: dict[int, Job] = {}
        self._last_epochs: dict[int, Epoch] = {}  # of trials that have done their job, until it is decided on
        self._waiting: set[int] = set()
        self._widths: dict[int, dict[int, int]] = {}  # of a trial's step, by number and the last epoch of a job
        jobs = read_jobs(study.optuna_study.user_attrs)
        self._next_number = len(jobs)
        self._planned_time = max((job.due for job in jobs if job.ended), default=0)
        self._resume(jobs)
        self._plan_jobs()

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing is left to start."""
        return not self._undecided

    def next(self) -> Attempt | None:
        """What a free worker is to do; None if it has to wait, or all is over."""
        if self._ready and self.study.time_stop_reason():
            self._ready.clear()
            self._decide_in_turn()
        if not self._ready or len(self._running) >= self._workers:
            return None
        attempt = self._ready.popleft()
        if rest := attempt.trials[self.width :]:  # the width was halved since the job was planned
            self._ready.appendleft(replace(attempt, trials=rest))
            attempt = replace(attempt, trials=attempt.trials[: self.width])
        self._running.append(attempt)
        self._narrow(self._undecided[attempt.job.number])
        self._note_start(attempt.job)
        self.study.on_change()
        return attempt

    def use_workers(self, workers: int) -> None:
        """Lets more jobs run at once, when more workers than before can run; fewer change nothing."""
        if workers > self._workers:
            self._workers = workers
            self._plan_jobs()

    def settings(self, attempt: Attempt) -> dict[int, dict[str, Any]]:
        """The training settings of each trial of an attempt that has not ended, by number."""
        live = self.study.live
        return {number: live[number].settings for number in attempt.trials if number in live}

    def widths(self, attempt: Attempt) -> dict[int, dict[int, int]]:
        """The width of the step that trains each trial of an attempt, by number and by the last epoch of a job."""
        return {number: dict(self._widths[number]) for number in attempt.trials}

    @property
    def live_numbers(self) -> frozenset[int]:
        """Numbers of the trials that have not ended: a worker may forget all others."""
        return frozenset(self.study.live)

    def report(self, attempt: Attempt, epochs: Mapping[int, Epoch]) -> bool:
        """Records epochs of an attempt's trials; returns whether the attempt is to go on.

        Scores after the job's last epoch are recorded when the job is decided on.
        """
        job = replace(self._undecided[attempt.job.number], worker=next(iter(epochs.values())).worker)
        self._undecided[job.number] = job
        live = self.study.live
        for number, epoch in epochs.items():
            if number not in live:
                continue
            if epoch.number < job.last:
                self.study.record(number, epoch)
            else:
                self._last_epochs[number] = epoch
                self.study.note_seconds(number, epoch.seconds)
        self.study.on_change()
        missing = [n for n in attempt.trials if n in live and n not in self._last_epochs and not live[n].diverged]
        return bool(missing) and not self.study.time_stop_reason()

    def finish(self, attempt: Attempt, failure: Failure | None = None) -> None:
        """Tells that a worker has done its part of a job, or failed; decides on the jobs whose turn it is."""
        self._running.remove(attempt)
        if failure:
            self._try_again(attempt, failure)
        if not self._is_open(job := self._undecided[attempt.job.number]):
            self._undecided[job.number] = replace(job, ended=self.study.clock.now())
        self._decide_in_turn()

    def _decide_in_turn(self) -> None:
        """Decides on the jobs that have ended, up to the first that has not, in the order in which they were due."""
        while self._undecided and not self._is_open(job := min(self._undecided.values(), key=_by_due)):
            self._decide(job)
            self._plan_jobs()

    def _is_open(self, job: Job) -> bool:
        return any(attempt.job.number == job.number for attempt in [*self._running, *self._ready])

    def _decide(self, job: Job) -> None:
        """Records the last scores of a job's trials; then decides on each, and has those that go on wait."""
        study = self.study
        trials = [number for number in job.trials if number in study.live]
        for number in trials:
            if number in self._last_epochs:
                study.record(number, self._last_epochs.pop(number))
        # A job that a bound on time has cut short stays open, to be done when the search is resumed.
        is_done = all(study.live[n].epochs >= job.last or study.live[n].diverged for n in trials)
        stopped = [number for number in trials if not study.decide(number)]
        self._waiting.update(set(trials).difference(stopped))
        for number in stopped:
            self._finish(number)
        if is_done:
            self._record(replace(job, ended=job.ended or study.clock.now()))
        del self._undecided[job.number]
        study.jobs.pop(job.number, None)
        self._planned_time = job.due
        study.on_change()

    def _plan_jobs(self) -> None:
        """Plans a job for each worker that has none in planned time, and some ahead."""
        if self.study.time_stop_reason():
            self._stop_waiting()
            return
        while len(self._undecided) < self._workers + self._workers // 2 and (trials := self._choose()):
            first = self.study.live[trials[0]].epochs
            last = next_decision(self.study.optuna_study.pruner, first, self.study.epochs)
            due, width = self._planned_time + last - first, smallest_width(len(trials))
            job = Job(self._next_number, tuple(trials), first, last, due, width)
            self._next_number += 1
            self._waiting.difference_update(trials)
            self._record(job)
            self._start(job)

    def _start(self, job: Job) -> None:
        job = self._undecided[job.number] = replace(job, started=None)  # one that is resumed starts again
        self._note_width(job)
        if trials := tuple(number for number in job.trials if number in self.study.live):
            self._ready.append(Attempt(job, trials))

    def _choose(self) -> Sequence[int]:
        """Trials for a job: those of the highest rung that fill one; else new ones; else those of the lowest rung."""
        full = [pool for pool in self._pools() if len(pool) >= self.width]
        if full and self._epochs(full[-1]):
            return full[-1][: self.width]
        self._draw()
        pools = self._pools()
        if not pools:
            return ()
        lowest = [pool for pool in pools if self._epochs(pool) == self._epochs(pools[0])]
        return max(lowest, key=len)[: self.width]

    def _draw(self) -> None:
        """Asks for new trials until they fill a job, or are twice as many: of several kinds none may fill one."""
        kinds = Counter(_kind(self.study.live[n]) for n in self._waiting if not self.study.live[n].epochs)
        while max(kinds.values(), default=0) < self.width and kinds.total() < 2 * self.width:
            live = self.study.ask()
            if live is None:
                return
            self._waiting.add(live.trial.number)
            kinds[_kind(live)] += 1

    def _pools(self) -> list[list[int]]:
        """The waiting trials that may share a job, each pool by number; the pools by epoch, then by first number."""
        pools: dict[tuple[int, Hashable], list[int]] = {}
        for number in sorted(self._waiting):
            live = self.study.live[number]
            pools.setdefault((live.epochs, _kind(live)), []).append(number)
        return sorted(pools.values(), key=lambda pool: (self._epochs(pool), pool[0]))

    def _epochs(self, pool: Sequence[int]) -> int:
        return self.study.live[pool[0]].epochs

    def _stop_waiting(self) -> None:
        """Ends the waiting trials, since time is up."""
        for number in sorted(self._waiting):
            if not self.study.decide(number):
                self._finish(number)
        self._waiting.clear()

    def _try_again(self, attempt: Attempt, failure: Failure) -> None:
        """Has the trials of a failed attempt tried again, or finds the one that makes the others fail by halving."""
        trials = tuple(number for number in self.settings(attempt) if number not in self._last_epochs)
        if failure.misplaced:
            self._ready.appendleft(replace(attempt, trials=trials))
            return
        failures = attempt.failures + 1
        if len(trials) == 1 and failures > self._max_failures:
            self._finish(trials[0], failure.reason)
            return
        parts = [trials]
        if failure.out_of_memory and len(trials) > 1:
            self.width, failures = min(self.width, _lower_width(len(trials))), 0  # `next` divides the trials
        elif len(trials) > 1 and (not failure.worker_died or failures > self._max_failures):
            half = (len(trials) + 1) // 2
            parts = [trials[half:], trials[:half]]
            failures = failures if failure.worker_died else 0  # at an error of one trial the others are blameless
        self._ready.extendleft(Attempt(attempt.job, part, failures) for part in parts if part)

    def _resume(self, jobs: Sequence[Job]) -> None:
        """Starts the trials and the jobs that were interrupted. The other trials wait, if they are to go on."""
        study, live = self.study, self.study.live
        while study.interrupted and study.ask():
            pass
        self._waiting = set(live)
        for job in jobs:
            self._note_width(job)
            trials = [number for number in job.trials if number in live]
            if job.ended:
                continue
            if any(live[number].epochs > job.last for number in trials):  # they went on without cohorts
                self._record(replace(job, started=None, ended=self.study.clock.now()))
                continue
            self._waiting.difference_update(trials)
            self._start(job)
        for number in sorted(self._waiting):
            # A trial that came to its epoch without cohorts was perhaps not decided on.
            epochs = live[number].epochs
            if epochs and epochs not in self._widths.get(number, {}) and not study.decide(number):
                self._finish(number)
                self._waiting.discard(number)
        self._decide_in_turn()

    def _finish(self, number: int, error: str = "") -> None:
        """Ends a trial, see `Study.finish`."""
        self.study.finish(number, error)
        self._widths.pop(number, None)

    def _narrow(self, job: Job) -> None:
        """Gives a job the width that there is now, if that is less than it was planned with."""
        if job.width > self.width:
            self._undecided[job.number] = replace(job, width=self.width)
            self._note_width(self._undecided[job.number])

    def _note_width(self, job: Job) -> None:
        """Keeps the width of a job's step for each of its trials."""
        for number in job.trials:
            if number in self.study.live:
                self._widths.setdefault(number, {})[job.last] = job.width

    def _note_start(self, job: Job) -> None:
        """Records when a job was started first."""
        if self._undecided[job.number].started is None:
            self._undecided[job.number] = replace(self._undecided[job.number], started=self.study.clock.now())
            self._record(self._undecided[job.number])
        self.study.jobs[job.number] = self._undecided[job.number]

    def _record(self, job: Job) -> None:
        self.study.optuna_study.set_user_attr(*job.attribute)


def _kind(live: LiveTrial) -> Hashable:
    return tuple(live.settings.get(name) for name in (*SHARED_FIELDS, DATA_PARAMETER))


def _lower_width(trials: int) -> int:
    """Half the width that holds so many trials, of which there are at least 2."""
    return smallest_width(trials) // 2


def _by_due(job: Job) -> tuple[int, int]:
    return job.due, job.number
