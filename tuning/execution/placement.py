"""How many trials, or cohorts of trials, run at once, and which cores and GPUs each of them gets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from san_core.errors import InputError

TRIAL_MEMORY = 2**30
"""Bytes of memory that are to be free for each trial at once: a worker took 0.4 to 1.1 GiB besides the shared data."""


@dataclass(frozen=True)
class Machine:
    """What a machine has for trials.

    Attributes:
        cpus: number of cores.
        gpus: number of GPUs.
        memory: bytes of memory that are free; None if that is not known.
    """

    cpus: int
    gpus: int
    memory: int | None = None


@dataclass(frozen=True)
class Placement:
    """The resources of a trial, or of a cohort of trials, the same for all, and how many of them run at once.

    Attributes:
        cpus: cores, and threads, of each.
        gpus: GPUs of each: 0, 1, or a fraction of one.
        max_concurrent: most trials, or cohorts, that run at once.
        free_memory: bytes of memory that are free, if they are why no more trials run at once; None if they are not.
    """

    cpus: int
    gpus: float
    max_concurrent: int
    free_memory: int | None = field(default=None, compare=False)

    def describe(self, cohort: int = 1) -> str:
        """The placement in words.

        Args:
            cohort: most trials of a cohort; 1 where each trial is on its own.
        """
        what = f"{'trial' if cohort == 1 else 'cohort'}{'s' if self.max_concurrent > 1 else ''}"
        members = "" if cohort == 1 else f" of up to {cohort} trials"
        each = describe_share(self.cpus, self.gpus)
        return f"{self.max_concurrent} {what}{members} at once, {each} each{self._reason()}"

    def _reason(self) -> str:
        if self.free_memory is None:
            return ""
        free, needed = self.free_memory / 2**30, TRIAL_MEMORY / 2**30
        return f": {free:.1f} GiB of memory are free, {needed:g} GiB for each (--concurrent N overrides this)"


def describe_share(cpus: int, gpus: float) -> str:
    """Cores and GPUs in words."""
    cores = f"{cpus} core{'s' if cpus > 1 else ''}"
    return f"{gpus:g} GPU and {cores}" if gpus else cores


class _Capacity(NamedTuple):
    """A machine's cores, and the most trials that its GPUs can hold, or its cores if trials need no GPU."""

    cpus: int
    trials: int


def place_trials(
    machines: Sequence[Machine],
    *,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    concurrent: int | None = None,
    heed_memory: bool = True,
) -> Placement:
    """Divides a machine, or a cluster of them, among trials.

    By default there is one trial per GPU with a part of its machine's cores, the same for all trials. Without GPUs
    there is one trial per core. There are only as many at once as free memory allows, `TRIAL_MEMORY` for each, but one.

    Args:
        machines: cores and GPUs of each machine.
        cpus_per_trial: number of cores of a trial; None for the default.
        gpus_per_trial: number of GPUs of a trial, in [0, 1]; None for the default.
        concurrent: largest number of trials at once; None for as many as fit.
        heed_memory: whether free memory bounds the number of trials at once.

    Raises:
        InputError: if a trial is to have more than a machine has.
    """
    available = sum(machine.gpus for machine in machines)
    gpus = float(bool(available)) if gpus_per_trial is None else gpus_per_trial
    if gpus > available:
        raise InputError(f"--gpus-per-trial must be <= {available}, the GPUs there are, but got {gpus:g}")
    if gpus > 1:
        raise InputError(f"--gpus-per-trial must be <= 1, since a trial trains on one GPU, but got {gpus:g}")
    usable = _capacities(machines, gpus)
    cpus = cpus_per_trial or max(1, min((machine.cpus // machine.trials for machine in usable), default=1))
    most_cores = max((machine.cpus for machine in usable), default=0)
    if cpus > most_cores:
        raise InputError(f"--cpus-per-trial must be <= {most_cores}, the cores of a machine, but got {cpus}")
    fitting = fitting_trials(machines, cpus, gpus)
    wanted = min(fitting, concurrent or fitting)
    free = _free_memory(machines) if heed_memory else None
    at_once = fitting_in_memory(wanted, free)
    return Placement(cpus, gpus, at_once, free if at_once < wanted else None)


def fitting_trials(machines: Sequence[Machine], cpus: int, gpus: float) -> int:
    """How many trials with so many cores and GPUs the machines can hold at once, whatever their memory."""
    return sum(min(machine.cpus // cpus, machine.trials) for machine in _capacities(machines, gpus))


def _capacities(machines: Sequence[Machine], gpus: float) -> list[_Capacity]:
    """Those of the machines that can hold trials with so many GPUs each."""
    # 1e-9 because of rounding errors: without it, `int` would make 92 of 1 / (1 / 93).
    found = [_Capacity(each.cpus, each.gpus * int(1 / gpus + 1e-9) if gpus else each.cpus) for each in machines]
    return [machine for machine in found if machine.trials]


def fitting_in_memory(wanted: int, free: int | None) -> int:
    """How many trials run at once with `free` bytes of free memory: `wanted` or fewer, but at least one.

    Args:
        wanted: number of trials that would run at once otherwise.
        free: None if it is not known.
    """
    return wanted if free is None else max(1, min(wanted, free // TRIAL_MEMORY))


def _free_memory(machines: Sequence[Machine]) -> int | None:
    """Bytes of memory that are free on all machines together; None if it is not known of one of them."""
    known = [machine.memory for machine in machines if machine.memory is not None]
    return sum(known) if len(known) == len(machines) else None
