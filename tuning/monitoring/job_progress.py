"""Progress of a search with cohorts: its running jobs, and what became of the trials of those that have ended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from optuna.trial import FrozenTrial

from results.jobs import Job
from results.run_folder import CONFIRMS
from results.snapshot import DIVERGED, PRUNED, state_of
from tuning.study.live_trial import LiveTrial
from tuning.study.study import Study

Row = tuple[str, int, float | None]
"""A running trial or job: its name, its epochs, and a score in [0, 1]; the score is None before the first epoch."""


def job_rows(study: Study) -> list[Row]:
    """A row for each running job, by number; the epochs and the score are the highest of its trials."""
    rows = []
    for _, job in sorted(study.jobs.items()):
        live = [live for number in job.trials if (live := study.live.get(number))]
        scores = [trial.scores for trial in live]
        rows.append((job.title(_repeated(live)), max(map(len, scores), default=0), _best(scores)))
    return rows


class JobEnds:
    """Collects the trials that are stopped at the end of their job, which share one line.

    Args:
        study: the study.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._running: dict[int, Job] = {}
        self._stopped: dict[int, list[FrozenTrial]] = {}

    def collect(self, trial: FrozenTrial) -> bool:
        """Keeps an ended trial for its job's line; returns whether it did. It keeps pruned and diverged ones."""
        job = next((job for job in self._study.jobs.values() if trial.number in job.trials), None)
        if job is None or state_of(trial) not in {PRUNED, DIVERGED}:
            return False
        self._stopped.setdefault(job.number, []).append(trial)
        return True

    def lines(self, *, at_end: bool = False) -> list[str]:
        """A line for each job that has ended since the last call; none if all its trials are complete or have failed.

        Args:
            at_end: whether the study has ended, too, and jobs that still run were interrupted.
        """
        ended = [job for number, job in self._running.items() if at_end or number not in self._study.jobs]
        self._running = dict(self._study.jobs)
        stopped = [self._stopped.pop(job.number, []) for job in ended]
        return [
            self._line(job, trials)
            for job, trials in zip(ended, stopped, strict=True)
            if trials or (self._left(job) and not at_end)
        ]

    def _left(self, job: Job) -> list[int]:
        return [number for number in job.trials if number in self._study.live]

    def _line(self, job: Job, stopped: Sequence[FrozenTrial]) -> str:
        left = self._left(job)
        scores = [trial.intermediate_values for trial in stopped] + [self._study.live[n].scores for n in left]
        states = Counter(map(state_of, stopped))
        counts = [f"{len(left)} of {len(job.trials)} go on"] if job.last < self._study.epochs else []
        counts += [f"{states[state]} {state}" for state in (PRUNED, DIVERGED) if states[state]]
        epochs = max(map(len, scores))
        return f"cohort {job.number} after epoch {epochs}: {', '.join(counts)} (best {show_score(_best(scores))})"


def show_score(score: float | None) -> str:
    """A score in [0, 1] as a percentage; a dash if there is none."""
    return "–" if score is None else f"{score:.2%}"


def _repeated(live: Sequence[LiveTrial]) -> list[int]:
    """The trials that the trials of a job repeat under fresh seeds; none in the search itself."""
    if not live or CONFIRMS not in live[0].trial.user_attrs:  # reading the attributes of all would take time
        return []
    return sorted({trial.trial.user_attrs[CONFIRMS] for trial in live})


def _best(scores: Iterable[Mapping[int, float]]) -> float | None:
    """The best of several trials' scores."""
    return max((score for each in scores for score in each.values()), default=None)
