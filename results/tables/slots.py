"""Slots: where trials ran, or jobs of a search with cohorts, and when."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial

from results.jobs import Job
from results.run_folder import WORKER
from results.snapshot import RunSnapshot, ended, epochs, started

Slot = tuple[str, int]
"""A place of a worker where one trial or job runs at a time: the worker's name (empty if unknown), number from 0 on."""


@dataclass(frozen=True)
class Span:
    """The time that a trial, or a job with all its trials, held a slot.

    Attributes:
        start: its start.
        end: its end.
        worker: where it ran; empty if that was not recorded.
        trials: the trial, or the job's.
        job: the job; None for a trial that ran alone.
    """

    start: datetime
    end: datetime
    worker: str
    trials: tuple[FrozenTrial, ...]
    job: Job | None = None

    @property
    def seconds(self) -> float:
        """Its duration."""
        return (self.end - self.start).total_seconds()

    @property
    def number(self) -> int:
        """Number of the job or the trial."""
        return self.job.number if self.job else self.trials[0].number


def spans(trials: Sequence[FrozenTrial], jobs: Iterable[Job] = (), until: datetime | None = None) -> list[Span]:
    """When the trials of a study ran.

    A trial of a job has no span of its own: between two jobs it waits, and holds no slot.

    Args:
        trials: of one study.
        jobs: of the same study.
        until: when what was started and has not ended is taken to end; None leaves it out.

    Returns:
        The spans, by start.
    """
    found = [*_spans_of_jobs(trials, jobs, until), *_spans_of_trials(trials, jobs, until)]
    return sorted(found, key=lambda span: (span.start, span.number))


def all_spans(snapshot: RunSnapshot, until: datetime | None = None) -> list[Span]:
    """When the trials of the search ran, then when those under fresh seeds did; see `spans`."""
    return [
        *spans(snapshot.search, snapshot.jobs, until),
        *spans(snapshot.confirmations, snapshot.confirmation_jobs, until),
    ]


def assign_slots(ran: Iterable[Span]) -> list[tuple[Span, Slot]]:
    """Gives each span a slot in which nothing else ran at the same time.

    It is a slot of the span's worker; a worker that runs several trials or jobs at once has several. Of the free slots
    it is the one that was free the longest.

    Args:
        ran: spans of one search, also of several studies of it.

    Returns:
        The spans with their slots, by start.
    """
    ends_by_worker: dict[str, list[datetime]] = {}
    placed = []
    for span in sorted(ran, key=lambda span: (span.start, span.number)):
        ends = ends_by_worker.setdefault(span.worker, [])
        free = [slot for slot, end in enumerate(ends) if end <= span.start]
        slot = min(free, key=lambda slot: ends[slot], default=len(ends))
        ends[slot : slot + 1] = [span.end]
        placed.append((span, (span.worker, slot)))
    return placed


def busy_seconds(ran: Iterable[Span]) -> float:
    """Wall time in which at least one trial ran; pauses do not count."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted((span.start, span.end) for span in ran):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return sum((end - start).total_seconds() for start, end in merged)


def _spans_of_jobs(trials: Sequence[FrozenTrial], jobs: Iterable[Job], until: datetime | None) -> Iterator[Span]:
    by_number = {trial.number: trial for trial in trials}
    for job in jobs:
        members = tuple(by_number[number] for number in job.trials if number in by_number)
        if job.started and members and (end := job.ended or until):
            yield Span(job.started, end, job.worker, members, job)


def _spans_of_trials(trials: Sequence[FrozenTrial], jobs: Iterable[Job], until: datetime | None) -> Iterator[Span]:
    """The spans of trials that were in no job, or went on alone after it because the search went on without cohorts."""
    in_jobs: dict[int, int] = {}  # the epochs that a trial has after its jobs, by its number
    for job in jobs:
        in_jobs |= {number: max(job.last if job.ended else 0, in_jobs.get(number, 0)) for number in job.trials}
    for trial in trials:
        went_on = trial.datetime_complete and epochs(trial) > in_jobs.get(trial.number, 0)
        start, end = started(trial), ended(trial) or until
        if start and end and (trial.number not in in_jobs or went_on):
            yield Span(start, end, str(trial.user_attrs.get(WORKER, "")), (trial,))
