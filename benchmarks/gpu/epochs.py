"""An epoch of VQA v1's size."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu.random_cohorts import cohort_step
from benchmarks.gpu.timing import Scale, wait
from benchmarks.shapes import SHAPES, Shape
from san_core.cohort.data import PrefetchedFeatures, ResidentFeatures, padded_channels
from san_core.cohort.graph import EagerStep, GraphedStep
from san_core.cohort.training import run_steps


def epoch_rows(scale: Scale, device: torch.device) -> Iterator[dict[str, Any]]:
    """Seconds of an epoch, from the host's order of it to the losses read back, for each width."""
    shape = SHAPES[0]
    steps = -(-scale.questions // shape.config.batch_size)
    for members in scale.epoch_members:
        for kind in ("resident", "prefetched") if device.type == "cuda" and members == 1 else ("resident",):
            seconds = epoch_seconds(shape, members, scale, device, kind, steps)
            examples = members * scale.questions / seconds
            yield {"members": members, "features": kind, "seconds": seconds, "examples/s": examples}


def epoch_seconds(shape: Shape, members: int, scale: Scale, device: torch.device, kind: str, steps: int) -> float:
    """Seconds of one epoch, measured once."""
    working = torch.bfloat16 if device.type == "cuda" else torch.float32
    features: ResidentFeatures | PrefetchedFeatures
    images = min(scale.images, 4000) if kind == "prefetched" else scale.images
    if kind == "prefetched":
        host = torch.randn(images, shape.regions, shape.channels).relu().bfloat16()
        features = PrefetchedFeatures(host, device, working, shape.config.batch_size)
    else:
        store = torch.empty(images, shape.regions, shape.channels, device=device, dtype=working).normal_()
        features = ResidentFeatures(padded_channels(store))
        del store
    step = cohort_step(shape, members, replace(scale, stored=images), device, features, steps)
    generator = torch.Generator(device)
    replay = (
        GraphedStep(step, generator, torch.cuda.graph_pool_handle())
        if device.type == "cuda"
        else EagerStep(step, generator)
    )
    order = step.buffers.images.cpu().numpy()
    wait(device)
    started = time.perf_counter()
    step.losses.zero_()
    run_steps(replay, step.buffers, features, order)
    step.losses.tolist()
    return time.perf_counter() - started
