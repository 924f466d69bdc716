"""How much is timed on a GPU, and timing it."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

ROUNDS = 3
"""A figure is the median of so many measurements."""


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        members: cohort widths W.
        steps: number of steps that are timed together.
        stored: number of images that batches are drawn from.
        matrix: edge of the square matrices whose product gives the bfloat16 rate.
        questions, images: numbers of questions and images in an epoch; VQA v1's training split.
        epoch_members: cohort widths W for which an epoch is timed.
    """

    members: tuple[int, ...] = (1, 4, 16, 64)
    steps: int = 20
    stored: int = 2000
    matrix: int = 8192
    questions: int = 248_349
    images: int = 82_783
    epoch_members: tuple[int, ...] = (1, 8)


QUICK = Scale(members=(1, 2), steps=2, stored=8, matrix=64, questions=6, images=8, epoch_members=(1,))
"""Runs all the code, and tells nothing about speed."""


def bfloat16_rate(edge: int, device: torch.device) -> float:
    """Floating point operations per second of a product of two square bfloat16 matrices."""
    matrix = torch.randn(edge, edge, dtype=torch.bfloat16, device=device)
    return 2 * edge**3 / seconds_of(lambda: matrix @ matrix, 10, device)


def seconds_of(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Seconds of a step: the median over `ROUNDS` rounds of so many steps."""
    if device.type == "cuda":
        gc.collect()  # an earlier step's memory
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(3):
        step()
    found = []
    for _ in range(ROUNDS):
        wait(device)
        started = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        found.append((time.perf_counter() - started) / steps)
    return statistics.median(found)


def wait(device: torch.device) -> None:
    """Waits until the device has finished all operations."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
