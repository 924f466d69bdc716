"""How many trials fit on a GPU, found out by training the largest one for a few steps."""

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
"""Memory a trial may take beyond what was measured: longer questions, other batches."""

CONTEXT = 600 * 2**20
"""Bytes every process takes of a GPU for itself, which PyTorch does not count."""

SIZES = ("embedding_size", "hidden_size", "attention_size", "hops", "batch_size")
"""Training settings that memory grows with."""


def largest(config: TrainingConfig, parameters: Mapping[str, BaseDistribution]) -> TrainingConfig:
    """The configuration with every size that is searched at the upper end of its range."""
    highest: dict[str, Any] = {
        name: distribution.high
        for name, distribution in parameters.items()
        if name in SIZES and isinstance(distribution, IntDistribution | FloatDistribution)
    }
    return replace(config, **highest)


def measured_share(config: TrainingConfig, data: PreparedData) -> float:
    """The share of a GPU that a trial of this configuration needs: 1/n where n of them fit.

    It is measured in a process of its own, so that no memory of the GPU stays taken.

    Raises:
        InputError: if this machine has no GPU, or not even one trial fits.
    """
    if not torch.cuda.is_available():
        raise InputError("--gpus-per-trial auto needs a GPU on this machine to measure on; accepted: a number")
    print_message("measuring the memory of the largest trial")
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            peak, total = pool.submit(_measure, config, data.folder).result()
    except torch.OutOfMemoryError as error:
        raise InputError(f"the largest trial of the space does not fit on the GPU: {error}") from error
    return share_of(peak, total)


def share_of(peak: int, total: int) -> float:
    """The share of a GPU of `total` bytes that a trial needs whose training takes `peak` bytes.

    Raises:
        InputError: if it is more than all.
    """
    needed = MARGIN * peak + CONTEXT
    fitting = int(total // needed)
    if not fitting:
        raise InputError(
            f"the largest trial of the space needs {needed / 2**30:.1f} GiB, but the GPU has {total / 2**30:.1f} GiB"
        )
    return 1 / fitting


def _measure(config: TrainingConfig, data: Path) -> tuple[int, int]:
    """Peak memory of a training and the GPU's memory, in bytes."""
    peak = Training(config, PreparedData.open(data)).peak_memory()
    return peak, torch.cuda.get_device_properties(0).total_memory
