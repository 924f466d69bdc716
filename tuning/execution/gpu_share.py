"""The share of a GPU that a trial needs, measured by training the largest configuration for a few steps."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.training import Training

MARGIN = 1.15
"""Factor on the measured memory: other batches, with longer questions, may take more."""

CUDA_CONTEXT = 600 * 2**20
"""Bytes of GPU memory that every process needs for its CUDA context, which PyTorch does not count."""

MEMORY_SETTINGS = ("embedding_size", "hidden_size", "attention_size", "hops", "batch_size")
"""Training settings with which a trial's memory grows."""


def largest_configuration(config: TrainingConfig, parameters: Mapping[str, BaseDistribution]) -> TrainingConfig:
    """The configuration with each of `MEMORY_SETTINGS` that is searched at the upper end of its range."""
    highest: dict[str, Any] = {
        name: distribution.high
        for name, distribution in parameters.items()
        if name in MEMORY_SETTINGS and isinstance(distribution, IntDistribution | FloatDistribution)
    }
    return replace(config, **highest)


def measure_gpu_share(config: TrainingConfig, data: PreparedData) -> float:
    """The share of a GPU that a trial with this configuration needs: 1/n if n of them fit.

    It is measured in a process of its own, which frees all GPU memory when it ends.

    Raises:
        InputError: if this machine has no GPU, or not even one trial fits.
    """
    if not torch.cuda.is_available():
        raise InputError("--gpus-per-trial auto needs a GPU on this machine to measure on; accepted: a number")
    print_message("measuring the memory of the largest trial")
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            peak, total = pool.submit(_measure_memory, config, data.folder).result()
    except torch.OutOfMemoryError as error:
        raise InputError(f"the largest trial of the space does not fit on the GPU: {error}") from error
    return gpu_share(peak, total)


def gpu_share(peak: int, total: int) -> float:
    """The share of a GPU with `total` bytes of memory that a trial needs if its training takes `peak` bytes.

    Raises:
        InputError: if one trial does not fit.
    """
    needed = MARGIN * peak + CUDA_CONTEXT
    fitting = int(total // needed)
    if not fitting:
        raise InputError(
            f"the largest trial of the space needs {needed / 2**30:.1f} GiB, but the GPU has {total / 2**30:.1f} GiB"
        )
    return 1 / fitting


def _measure_memory(config: TrainingConfig, data: Path) -> tuple[int, int]:
    """Peak memory of training, and the memory of the GPU, in bytes."""
    peak = Training(config, PreparedData.open(data)).peak_memory()
    return peak, torch.cuda.get_device_properties(0).total_memory
