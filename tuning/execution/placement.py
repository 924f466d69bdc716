"""How many trials run at once, and on what."""

from collections.abc import Sequence
from dataclasses import dataclass

from san_core.errors import InputError


@dataclass(frozen=True)
class Machine:
    """Cores and GPUs of a machine that trials can be placed on."""

    cpus: int
    gpus: int


@dataclass(frozen=True)
class Placement:
    """What each trial gets.

    Attributes:
        cpus: cores, and threads, of a trial.
        gpus: 0, 1, or the fraction of a GPU that is a trial's share.
        slots: trials that run at once.
    """

    cpus: int
    gpus: float
    slots: int

    def describe(self) -> str:
        """The placement in words."""
        cores = f"{self.cpus} core{'s' if self.cpus > 1 else ''}"
        each = f"{self.gpus:g} GPU and {cores}" if self.gpus else cores
        return f"{self.slots} trial{'s' if self.slots > 1 else ''} at once, {each} each"


def place(
    machines: Sequence[Machine],
    *,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    concurrent: int | None = None,
) -> Placement:
    """Shares a machine, or a cluster of them, out among trials.

    Without wishes: one trial per GPU, with a share of its machine's cores, the same for all trials; where there are
    no GPUs one trial per core.

    Raises:
        InputError: for a wish the machine cannot meet.
    """
    there = sum(machine.gpus for machine in machines)
    gpus = float(bool(there)) if gpus_per_trial is None else gpus_per_trial
    if gpus > there:
        raise InputError(f"--gpus-per-trial must be <= {there}, the GPUs there are, but got {gpus:g}")
    if gpus > 1:
        raise InputError(f"--gpus-per-trial must be <= 1, since a trial trains on one GPU, but got {gpus:g}")
    # Of each machine that can train: its cores, and for how many trials it has a GPU's share, or else a core.
    devices = [(each.cpus, each.gpus * int(1 / gpus + 1e-9) if gpus else each.cpus) for each in machines]
    usable = [(cores, trials) for cores, trials in devices if trials]
    cpus = cpus_per_trial or max(1, min((cores // trials for cores, trials in usable), default=1))
    if cpus > (most := max((cores for cores, _ in usable), default=0)):
        raise InputError(f"--cpus-per-trial must be <= {most}, the cores of a machine, but got {cpus}")
    fitting = sum(min(cores // cpus, trials) for cores, trials in usable)
    return Placement(cpus=cpus, gpus=gpus, slots=min(fitting, concurrent or fitting))
