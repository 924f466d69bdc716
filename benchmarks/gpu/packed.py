"""Several processes on one GPU, each of which trains one configuration by the step of cohorts."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.random_cohorts import cohort_step
from benchmarks.gpu.timing import Scale, wait
from benchmarks.shapes import Shape
from benchmarks.turns import timed_processes
from san_core.cohort.graph import EagerStep, GraphedStep

PROCESSES = 8
"""Processes that share the GPU."""

SECONDS = 2.0
"""About how long all of them train at once."""


def packed_rows(
    shape: Shape, scale: Scale, device: torch.device, processes: int = PROCESSES
) -> Iterator[dict[str, Any]]:
    """Examples per second of all processes together, each with its own context, data and graph."""
    with timed_processes([partial(single_step, shape, scale, str(device))] * processes) as running:
        for process in running:
            process.start(3, threads=1)
        alone = max(process.finish() for process in running)
        runs = max(1, round(SECONDS / alone)) if device.type == "cuda" else 1
        for process in running:
            process.start(runs, threads=1)
        seconds = [process.finish() for process in running]
    examples = sum(scale.steps * shape.config.batch_size / each for each in seconds)
    yield {"step": f"{processes} processes, one configuration each", "members": processes, "examples/s": examples}


def single_step(shape: Shape, scale: Scale, device: str) -> Callable[[], object]:
    """`scale.steps` steps of one configuration, up to their end."""
    place = torch.device(device)
    step, generator = cohort_step(shape, 1, scale, place), torch.Generator(place)
    run: Callable[[], object] = (
        GraphedStep(step, generator, torch.cuda.graph_pool_handle())
        if place.type == "cuda"
        else EagerStep(step, generator)
    )

    def several() -> None:
        for _ in range(scale.steps):
            run()
        wait(place)

    return several
