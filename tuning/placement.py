"""How many trials run at once, and on what."""

from dataclasses import dataclass

from san_core.errors import InputError


@dataclass(frozen=True)
class Resources:
    """What trials can be placed on.

    Attributes:
        cpus: cores, of all machines together.
        gpus: GPUs, of all machines together.
        largest: cores of the largest machine.
    """

    cpus: int
    gpus: int
    largest: int


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
    resources: Resources,
    *,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    concurrent: int | None = None,
) -> Placement:
    """Shares a machine, or a cluster of them, out among trials.

    Without wishes: one trial per GPU, with an equal share of the cores; on a machine without GPUs one
    trial per core.

    Raises:
        InputError: for a wish the machine cannot meet.
    """
    gpus = float(bool(resources.gpus)) if gpus_per_trial is None else gpus_per_trial
    by_gpu = _trials_on_gpus(gpus, resources.gpus)
    cpus = cpus_per_trial or (max(1, resources.cpus // by_gpu) if by_gpu else 1)
    if cpus > resources.largest:
        raise InputError(f"--cpus-per-trial must be <= {resources.largest}, the cores of a machine, but got {cpus}")
    limits = [resources.cpus // cpus, by_gpu, concurrent]
    return Placement(cpus=cpus, gpus=gpus, slots=min(limit for limit in limits if limit is not None))


def _trials_on_gpus(gpus: float, there: int) -> int | None:
    """How many trials fit on the GPUs; None if they use none."""
    if gpus == 0:
        return None
    if gpus > there:
        raise InputError(f"--gpus-per-trial must be <= {there}, the GPUs there are, but got {gpus:g}")
    if gpus > 1:
        raise InputError(f"--gpus-per-trial must be <= 1, since a trial trains on one GPU, but got {gpus:g}")
    return there * int(1 / gpus + 1e-9)
