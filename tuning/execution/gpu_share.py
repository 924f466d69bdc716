"""The share of a GPU that a trial needs, measured by training the largest configuration for a few steps."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from optuna.distributions import BaseDistribution

from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.hardware import is_out_of_memory
from san_core.training import Training
from tuning.execution.gpu_memory import least_free_memory
from tuning.execution.measuring import measure
from tuning.execution.trial_setup import STEP_SIZES, upper_ends

MARGIN = 1.15
"""Factor on the measured memory: other batches, with longer questions, may take more."""

CUDA_CONTEXT = 600 * 2**20
"""Bytes of GPU memory that every process needs for its CUDA context, which PyTorch does not count."""

MEMORY_SETTINGS = (*STEP_SIZES, "hops", "batch_size")
"""Training settings with which a trial's memory grows, and those that take some as soon as they are above 0."""


def largest_configuration(config: TrainingConfig, parameters: Mapping[str, BaseDistribution]) -> TrainingConfig:
    """The configuration with each of `MEMORY_SETTINGS` that is searched at its highest value.

    A cohort that has room for it has room for every configuration of the space.
    """
    return replace(config, **upper_ends(parameters, MEMORY_SETTINGS))


def measure_gpu_share(config: TrainingConfig, data: PreparedData, address: str | None = None) -> float:
    """The share of a GPU that a trial with this configuration needs: 1/n if n of them fit into the free memory.

    It is measured in a process of its own, see `measure`. Where kinds of GPUs differ it is what the smallest needs.

    Args:
        config: the largest configuration of the space.
        data: what the trials train on.
        address: address of the cluster that is searched on; None for none.

    Raises:
        InputError: if not even one trial fits.
    """
    print_message("measuring the memory of the largest trial")
    try:
        measured = measure(measured_memory, config, data, address=address)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(f"the largest trial of the space does not fit on the GPU: {error}") from error
    return max(gpu_share(peak, free) for peak, free in measured)


def gpu_share(peak: int, free: int) -> float:
    """The share of a GPU that a trial needs if its training takes `peak` bytes and `free` bytes of the GPU are free.

    What other programs use of the GPU is nobody's: n trials with a share of 1/n each fit into what is free.

    Raises:
        InputError: if one trial does not fit.
    """
    needed = MARGIN * peak + CUDA_CONTEXT
    fitting = int(free // needed)
    if not fitting:
        raise InputError(
            f"the largest trial of the space needs {needed / 2**30:.1f} GiB, "
            f"but only {free / 2**30:.1f} GiB of the GPU's memory are free"
        )
    return 1 / fitting


def measured_memory(config: TrainingConfig, data: Path) -> tuple[int, int]:
    """Peak memory of training, and the memory that is free on the fullest GPU, in bytes.

    The first is at least what torch allocates. What CUDA itself takes for graphs and libraries is seen in the memory
    that is free; what it takes for this process's context is not of the training.
    """
    free, before = least_free_memory(), torch.cuda.mem_get_info()[0]
    peak = Training(config, PreparedData.open(data)).peak_memory()
    return max(peak, before - torch.cuda.mem_get_info()[0]), free + CUDA_CONTEXT
