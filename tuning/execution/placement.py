"""How many trials, or cohorts of trials, run at once, and which cores and GPUs each of them gets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from san_core.errors import InputError


@dataclass(frozen=True)
class Machine:
    """Cores and GPUs of a machine that trials can be placed on."""

    cpus: int
    gpus: int


@dataclass(frozen=True)
class Placement:
    """The resources of a trial, or of a cohort of trials, the same for all, and how many of them run at once.

    Attributes:
        cpus: cores, and threads, of each.
        gpus: GPUs of each: 0, 1, or a fraction of one.
        max_concurrent: most trials, or cohorts, that run at once.
    """

    cpus: int
    gpus: float
    max_concurrent: int

    def describe(self, cohort: int = 1) -> str:
        """The placement in words.

        Args:
            cohort: most trials of a cohort; 1 where each trial is on its own.
        """
        cores = f"{self.cpus} core{'s' if self.cpus > 1 else ''}"
        each = f"{self.gpus:g} GPU and {cores}" if self.gpus else cores
        what = f"{'trial' if cohort == 1 else 'cohort'}{'s' if self.max_concurrent > 1 else ''}"
        members = "" if cohort == 1 else f" of up to {cohort} trials"
        return f"{self.max_concurrent} {what}{members} at once, {each} each"


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
) -> Placement:
    """Divides a machine, or a cluster of them, among trials.

    By default there is one trial per GPU with a part of its machine's cores, the same for all trials. Without GPUs
    there is one trial per core.

    Args:
        machines: cores and GPUs of each machine.
        cpus_per_trial: number of cores of a trial; None for the default.
        gpus_per_trial: number of GPUs of a trial, in [0, 1]; None for the default.
        concurrent: largest number of trials at once; None for as many as fit.

    Raises:
        InputError: if a trial is to have more than a machine has.
    """
    available = sum(machine.gpus for machine in machines)
    gpus = float(bool(available)) if gpus_per_trial is None else gpus_per_trial
    if gpus > available:
        raise InputError(f"--gpus-per-trial must be <= {available}, the GPUs there are, but got {gpus:g}")
    if gpus > 1:
        raise InputError(f"--gpus-per-trial must be <= 1, since a trial trains on one GPU, but got {gpus:g}")
    # 1e-9 because of rounding errors: without it, `int` would make 92 of 1 / (1 / 93).
    capacities = [_Capacity(each.cpus, each.gpus * int(1 / gpus + 1e-9) if gpus else each.cpus) for each in machines]
    usable = [machine for machine in capacities if machine.trials]
    cpus = cpus_per_trial or max(1, min((machine.cpus // machine.trials for machine in usable), default=1))
    most_cores = max((machine.cpus for machine in usable), default=0)
    if cpus > most_cores:
        raise InputError(f"--cpus-per-trial must be <= {most_cores}, the cores of a machine, but got {cpus}")
    fitting = sum(min(machine.cpus // cpus, machine.trials) for machine in usable)
    return Placement(cpus=cpus, gpus=gpus, max_concurrent=min(fitting, concurrent or fitting))
