"""What a search does when a machine's memory runs low and Ray ends workers to free some: fewer trials at once."""

import re
from dataclasses import replace

from san_core.errors import InputError
from tuning.execution.trial_setup import TrialSetup

ATTEMPTS_ALONE = 3
"""The search ends after a trial that ran alone was ended so many times in a row for lack of memory."""

_KILLED = "due to the node running low on memory"
"""A part of what Ray says of a worker that it ended for lack of memory."""

_USED = re.compile(r"Memory on the node \(IP: (\S+), ID: \S+\) was ([\d.]+)GB used / ([\d.]+)GB limit")


class LowMemoryError(Exception):
    """Ray ended workers because a machine's memory ran low; the message says how much of it was in use."""


def low_memory(text: str) -> LowMemoryError | None:
    """The error that a message of Ray tells of; None if it tells of another one."""
    if _KILLED not in text:
        return None
    found = _USED.search(text)
    return LowMemoryError(
        f"{found[2]} of {found[3]} GB in use on {found[1]}" if found else "how much was in use is not known"
    )


class FewerAtOnce:
    """Reduces how many trials run at once each time that memory runs low.

    Args:
        setup: of the study's trials.

    Attributes:
        setup: the same, with the number of trials that may run at once now.
    """

    def __init__(self, setup: TrialSetup) -> None:
        self.setup = setup
        self._alone = 0  # times in a row that a trial that ran alone was ended
        self._epochs = 0

    def reduce(self, error: LowMemoryError, epochs: int, advice: str) -> str:
        """Reduces the number by a quarter, at least by one; with one cohort at once it halves the cohort.

        Args:
            error: what happened.
            epochs: number of epochs that all trials have recorded so far.
            advice: how to go on, for the error.

        Returns:
            What was done, in one line.

        Raises:
            InputError: if one trial at once is ended again and again, with no epoch between.
        """
        placement, cohort = self.setup.placement, self.setup.cohort
        at_once = placement.max_concurrent
        if at_once > 1:
            placement = replace(placement, max_concurrent=at_once - max(1, at_once // 4))
        elif cohort > 1:
            cohort //= 2
        else:
            self._count_alone(error, epochs, advice)
            return f"memory ran low ({error}): the running trial was put back, and is started again"
        self.setup = replace(self.setup, placement=placement, cohort=cohort, most_at_once=placement.max_concurrent)
        return f"memory ran low ({error}): running trials were put back; from now on {placement.describe(cohort)}"

    def _count_alone(self, error: LowMemoryError, epochs: int, advice: str) -> None:
        self._alone = self._alone + 1 if epochs == self._epochs else 1
        self._epochs = epochs
        if self._alone == ATTEMPTS_ALONE:
            raise InputError(
                f"memory ran low ({error}) {ATTEMPTS_ALONE} times in a row with one trial at once; end other programs "
                f"or search smaller networks; {advice}"
            )
