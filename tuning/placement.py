"""How many trials run at once, and on what."""

from dataclasses import dataclass

from san_core.errors import InputError


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
    *,
    machine_cpus: int,
    machine_gpus: int,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    concurrent: int | None = None,
) -> Placement:
    """Shares a machine out among trials.

    Without wishes: one trial per GPU, with an equal share of the cores; on a machine without GPUs one
    trial per core.

    Raises:
        InputError: for a wish the machine cannot meet.
    """
    gpus = float(bool(machine_gpus)) if gpus_per_trial is None else gpus_per_trial
    by_gpu = _trials_on_gpus(gpus, machine_gpus)
    cpus = cpus_per_trial or (max(1, machine_cpus // by_gpu) if by_gpu else 1)
    if cpus > machine_cpus:
        raise InputError(f"--cpus-per-trial must be <= {machine_cpus}, the cores of this machine, but got {cpus}")
    limits = [machine_cpus // cpus, by_gpu, concurrent]
    return Placement(cpus=cpus, gpus=gpus, slots=min(limit for limit in limits if limit is not None))


def _trials_on_gpus(gpus: float, machine_gpus: int) -> int | None:
    """How many trials fit on the GPUs; None if they use none."""
    if gpus == 0:
        return None
    if gpus > machine_gpus:
        raise InputError(f"--gpus-per-trial must be <= {machine_gpus}, the GPUs of this machine, but got {gpus:g}")
    if gpus > 1:
        raise InputError(f"--gpus-per-trial must be <= 1, since a trial trains on one GPU, but got {gpus:g}")
    return machine_gpus * int(1 / gpus + 1e-9)
