"""The clock that the times of trials and jobs come from: UTC, and it never goes back."""

import time
from datetime import UTC, datetime, timedelta
from functools import partial

_seconds = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)  # goes on while the machine sleeps; only Linux has it
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


class Clock:
    """Tells the time that it was when the clock was made, plus the seconds that have passed since.

    So the time between two readings is right even if the machine's clock is set meanwhile, as it is by NTP.
    """

    def __init__(self) -> None:
        self._start, self._started = datetime.now(UTC), _seconds()

    def now(self) -> datetime:
        """The time in UTC."""
        return self._start + timedelta(seconds=_seconds() - self._started)

    def go_on_after(self, moment: datetime) -> None:
        """Never tells an earlier time than `moment`, which an earlier start of the search has recorded.

        If the machine's clock was set back since, the times of this start follow on those of the earlier one.
        """
        self._start += max(moment - self.now(), timedelta(0))


def utc(moment: datetime) -> datetime:
    """A time in UTC. One without time zone, as Optuna's are, is local time."""
    return moment.astimezone(UTC)
