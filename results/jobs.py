"""Jobs: what Ray Tune runs of a search with cohorts. A job trains several trials at once from one rung to the next.

The journal keeps them as attributes of the study, so that a resumed search goes on with the same jobs.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Self

from results.clock import utc
from results.run_folder import JOB

MAX_RANGES = 4
"""Most numbers and ranges of numbers by which a line of text names trials."""


@dataclass(frozen=True)
class Job:
    """A cohort from one rung to the next.

    Attributes:
        number: in the order in which jobs were planned, from 0.
        trials: numbers of the trials that it trains.
        first: epochs that they have when it starts.
        last: epochs that they have when it has ended.
        due: when it ends in planned time, in which an epoch takes 1; see `tuning.study.cohorts`.
        width: width of the step that trains them: 1, 2, 4, ...; the smallest, if a device had too little memory.
        started: when it was given to a worker, the last time that the search was started; None before that.
        ended: when its last worker ended, and the study had decided which trials go on; None before that.
        worker: where it ran last, in words.
    """

    number: int
    trials: tuple[int, ...]
    first: int
    last: int
    due: int
    width: int = 1
    started: datetime | None = None
    ended: datetime | None = None
    worker: str = ""

    def title(self, repeated: Collection[int] = ()) -> str:
        """The job in words: `cohort 3: trials 12-27`, or `cohort 0: repeats of trials 0, 31`.

        Args:
            repeated: numbers of the trials that its trials repeat under fresh seeds.
        """
        trials = f"repeats of {describe_trials(repeated)}" if repeated else describe_trials(self.trials)
        return f"cohort {self.number}: {trials}"

    @property
    def epochs(self) -> str:
        """The epochs that it trains, in words."""
        return f"epoch {self.last}" if self.last == self.first + 1 else f"epochs {self.first + 1} to {self.last}"

    @property
    def attribute(self) -> tuple[str, dict[str, Any]]:
        """Name and value of the study's attribute that holds the job."""
        values = asdict(self)
        number = values.pop("number")
        times = {name: time.isoformat() for name in ("started", "ended") if (time := getattr(self, name))}
        return f"{JOB}{number}", {**values, "trials": list(self.trials), "started": None, "ended": None, **times}

    @classmethod
    def from_attribute(cls, name: str, value: Mapping[str, Any]) -> Self:
        """The opposite of `attribute`."""
        known = {field.name for field in fields(cls)}
        values = {key: entry for key, entry in value.items() if key in known}
        for key in ("started", "ended"):
            values[key] = utc(datetime.fromisoformat(values[key])) if values.get(key) else None
        return cls(number=int(name.removeprefix(JOB)), **{**values, "trials": tuple(values["trials"])})


def read_jobs(attributes: Mapping[str, Any]) -> list[Job]:
    """The jobs among a study's attributes, by number; none if it was searched without cohorts."""
    jobs = [Job.from_attribute(name, value) for name, value in attributes.items() if name.startswith(JOB)]
    return sorted(jobs, key=lambda job: job.number)


def describe_trials(numbers: Collection[int]) -> str:
    """Trials in words: trial 3; trials 3, 12-27. Of many that are no neighbours: 16 trials from 3 to 61."""
    ranges = number_ranges(numbers)
    if ranges.count(",") >= MAX_RANGES:
        return f"{len(numbers)} trials from {min(numbers)} to {max(numbers)}"
    return f"trial{'s' if len(numbers) > 1 else ''} {ranges}"


def number_ranges(numbers: Iterable[int]) -> str:
    """Numbers in words, neighbours as a range: 3, 12-27."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ", ".join("-".join(map(str, each)) for each in ranges)
