"""How many trials to train together as a cohort: measured memory decides how many fit, measured time how many pay."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path

import torch

from san_core.cohort.task import Rows, Task
from san_core.cohort.training import CohortTraining
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.hardware import best_device, is_out_of_memory, keep_freed_memory
from san_core.training import build_model
from tuning.execution.gpu_memory import least_free_memory
from tuning.execution.gpu_share import CUDA_CONTEXT
from tuning.execution.measuring import measure
from tuning.execution.trial_setup import WIDTHS

GAIN = 1.1
"""A width pays if all members together see so many times the examples per second that half as many see."""

FILLED = 0.9
"""Share of its memory that a cohort may fill: other epochs, with other batches, may take more."""

STEPS = 20
"""Steps that are timed."""

REPEATS = 3
"""The fastest of so many runs counts, since other programs can only slow one down."""


@dataclass(frozen=True)
class Measurement:
    """What training at a width took.

    Attributes:
        per_second: examples per second, those of all members together.
        memory: bytes of GPU memory in use afterwards, 0 on a CPU. The steps of smaller widths are part of it, since a
            search needs these too.
    """

    per_second: float
    memory: int


def widest(measure: Callable[[int], Measurement | None], memory: float) -> int:
    """The width up to which widening pays and fits.

    Args:
        measure: trains at a width; None if that ran out of memory. It is called with 1, 2, 4, ... until widening ends.
        memory: bytes that a cohort may use.

    Returns:
        One of `WIDTHS`; 0 if not even a single trial fits.
    """
    used: list[int] = []
    best, per_second = 0, 0.0
    for width in WIDTHS:
        if expected_memory(used) > memory or (found := measure(width)) is None or found.memory > memory:
            break
        if found.per_second < GAIN * per_second:
            break
        best, per_second = width, found.per_second
        used.append(found.memory)
    return best


def expected_memory(used: list[int]) -> float:
    """The memory that the next width will take, by the line through the last two of 1, 2, 4, ...

    The next width adds at most twice what the last one added.
    """
    return used[-1] + 2 * (used[-1] - used[-2]) if len(used) > 1 else 0.0


def measure_cohort_width(
    config: TrainingConfig, data: PreparedData, gpus: float = 1.0, address: str | None = None
) -> int:
    """The width of cohorts that suits the GPUs, measured with a configuration that none is larger than.

    It is measured in a process of its own, see `measure`. Where kinds of GPUs differ it is what suits the smallest.

    Args:
        config: the largest configuration of the space, see `tuning.execution.gpu_share.largest_configuration`.
        data: what the trials train on.
        gpus: a cohort's share of a GPU, above 0 and at most 1.
        address: address of the cluster that is searched on; None for none.

    Raises:
        InputError: if not even a single trial fits, or the process dies.
    """
    print_message("measuring how many trials to train together")
    width = min(measure(measured_width, config, data, gpus, address=address))
    if not width:
        raise InputError("the largest trial of the space does not fit into its share of the GPU's free memory")
    return width


def measured_width(config: TrainingConfig, folder: Path, gpus: float) -> int:
    """The width that suits this machine, measured in this process; see `measure_cohort_width`."""
    device = best_device()
    memory = inf
    if device.type == "cuda":
        # The memory of this process's context is not free any more.
        memory = FILLED * (gpus * (least_free_memory() + CUDA_CONTEXT) - CUDA_CONTEXT)
        torch.cuda.set_per_process_memory_fraction(gpus)
    return widest(_Measuring(config, PreparedData.open(folder), device), memory)


class _Measuring:
    """Trains cohorts of one width after the other, with the same configuration in every slot.

    Args:
        config: the configuration.
        data: what is trained on.
        device: where.
    """

    def __init__(self, config: TrainingConfig, data: PreparedData, device: torch.device) -> None:
        keep_freed_memory()
        self._config, self._data, self._device = config, data, device
        self._free = _free_memory(device)
        self._task: Task | None = None
        self._cohorts: list[CohortTraining] = []
        self._members: list[Rows] = []

    def __call__(self, width: int) -> Measurement | None:
        """Trains at a width; None if that runs out of memory, after which nothing more can be measured."""
        try:
            cohort = self._cohort(width)
            per_second = self._per_second(cohort)
            cohort.predict()
        except RuntimeError as error:
            if is_out_of_memory(error):
                return None
            raise
        return Measurement(per_second, self._free - _free_memory(self._device))

    def _cohort(self, width: int) -> CohortTraining:
        """A cohort with an untrained network in every slot."""
        if self._task is None:
            self._task = Task(self._config, self._data, self._device)
        rows = self._task.new_rows(self._config, build_model(self._config, self._data).state_dict())
        cohort = CohortTraining(self._task, width)
        for slot in range(width):
            cohort.load(slot, self._config, rows)
        self._cohorts.append(cohort)  # it keeps its memory
        # A search keeps each member's weights and state, and those of as many that wait.
        self._members += [Rows(*map(torch.clone, rows)) for _ in range(2 * width - len(self._members))]
        return cohort

    def _per_second(self, cohort: CohortTraining) -> float:
        """Examples per second of some steps, without what an epoch takes whatever its number of steps."""
        steps = min(STEPS, len(self._data.split("train")) // self._config.batch_size) or 1
        examples = min(len(self._data.split("train")), steps * self._config.batch_size)
        cohort.train_epoch(1, steps)  # makes the step
        seconds = min(_seconds(cohort, steps) for _ in range(REPEATS))
        beside = min(_seconds(cohort, 0) for _ in range(REPEATS))
        return cohort.width * examples / max(seconds - beside, 1e-9)


def _seconds(cohort: CohortTraining, steps: int) -> float:
    """The time of the first steps of an epoch, at whose end the losses are read back."""
    started = time.perf_counter()
    cohort.train_epoch(1, steps)
    return time.perf_counter() - started


def _free_memory(device: torch.device) -> int:
    """Free memory of a GPU, in bytes; 0 for a CPU."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0
