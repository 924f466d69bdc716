"""`python -m benchmarks.gpu`: training on one GPU: precisions, ways to feed it, an epoch of VQA, packed processes.

Features are random, so it needs neither data nor network. Whole steps as CUDA graphs are not among what is
compared: a question encoder's shapes follow the batch's distinct words and lengths.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.shapes import SHAPES, Shape
from benchmarks.turns import timed_processes
from san_core.data.prepared import Batch
from san_core.optimizer import build_optimizer
from san_core.training import train_step

FEEDS = ("plain", "prefetched", "resident")
"""Where features come from: ordinary memory when they are needed; page-locked memory, copied while the step before
runs; the device's own memory."""

VARIANTS = {
    "float32": ("float32", "resident", False),
    "bfloat16": ("bfloat16", "resident", False),
    "bfloat16, prefetched": ("bfloat16", "prefetched", False),
    "bfloat16, plain copies": ("bfloat16", "plain", False),
    "bfloat16, compiled": ("bfloat16", "resident", True),
}
"""What is timed: precision, feed, and whether torch compiles the network."""


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        batches: questions per step.
        steps: that are timed.
        stored: images that batches are drawn from.
        questions, images: of the epoch; VQA v1's training split.
        processes: side by side.
    """

    batches: tuple[int, ...] = (100, 1000)
    steps: int = 30
    stored: int = 4000
    questions: int = 248_349
    images: int = 82_783
    processes: tuple[int, ...] = (1, 2, 4, 8)


QUICK = Scale(batches=(2,), steps=2, stored=4, questions=4, images=3, processes=(1, 2))
"""Runs all the code, and tells nothing about speed."""


def feed(store: Tensor, rows: list[Tensor], device: torch.device, how: str) -> Iterator[Tensor]:
    """The stored images of each batch's rows, on the device, in one of the `FEEDS`."""
    if how == "resident":
        resident = store.to(device)
        yield from (resident[chosen.to(device)] for chosen in rows)
    elif how == "plain" or device.type != "cuda":
        yield from (store[chosen].to(device) for chosen in rows)
    else:
        yield from _prefetched(store, rows, device)


def _prefetched(store: Tensor, rows: list[Tensor], device: torch.device) -> Iterator[Tensor]:
    """One batch ahead, copied on a stream of its own; two page-locked buffers in turn."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    buffers = [torch.empty(len(rows[0]), *store.shape[1:], dtype=store.dtype, pin_memory=True) for _ in range(2)]
    done = [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]

    def copy(number: int) -> Tensor:
        place = number % 2
        done[place].synchronize()  # the buffer's copy before
        chosen = torch.index_select(store, 0, rows[number], out=buffers[place][: len(rows[number])])
        with torch.cuda.stream(stream):
            copied = chosen.to(device, non_blocking=True)
            done[place].record(stream)
        return copied

    ahead = copy(0)
    for number in range(len(rows)):
        torch.cuda.current_stream(device).wait_stream(stream)
        ready = ahead
        ready.record_stream(torch.cuda.current_stream(device))
        if number + 1 < len(rows):
            ahead = copy(number + 1)
        yield ready


def stepper(shape: Shape, device: torch.device, *, compiled: bool = False) -> Callable[[Tensor], Tensor]:
    """A training step on given images; the questions are always the same."""
    torch.manual_seed(0)
    batch, targets = shape.batch(torch.Generator().manual_seed(0))
    batch, targets = batch.to(device), targets.to(device)
    model = shape.network().to(device).train()
    optimizer = build_optimizer(model, shape.config)
    network = torch.compile(model, dynamic=True) if compiled else model

    def step(images: Tensor) -> Tensor:
        given = Batch(images, batch.image_rows, batch.tokens, batch.question_rows)
        return train_step(network, optimizer, given, targets, shape.config)  # type: ignore[arg-type]  # a compiled SAN

    return step


def rate(shape: Shape, scale: Scale, device: torch.device, variant: str) -> float:
    """Examples per second of one of the `VARIANTS`."""
    precision, how, compiled = VARIANTS[variant]
    shape = replace(shape, config=replace(shape.config, precision=precision))
    step = stepper(shape, device, compiled=compiled)
    store = torch.rand(scale.stored, shape.regions, shape.channels, dtype=torch.float32).bfloat16()
    images = -(-shape.config.batch_size // shape.questions_per_image)
    settling = 3
    rows = [torch.randint(len(store), (images,)) for _ in range(settling + scale.steps)]
    started = 0.0
    for number, chosen in enumerate(feed(store, rows, device, how)):
        if number == settling:
            _wait(device)
            started = time.perf_counter()
        step(chosen)
    _wait(device)
    return scale.steps * shape.config.batch_size / (time.perf_counter() - started)


def epoch_seconds(shape: Shape, scale: Scale, device: torch.device) -> float:
    """An epoch over so many questions, the features of all images in the device's memory."""
    store = torch.empty(scale.images, shape.regions, shape.channels, dtype=torch.bfloat16, device=device).normal_()
    step = stepper(shape, device)
    order = torch.randint(scale.images, (scale.questions // shape.config.batch_size, shape.config.batch_size))
    step(store[order[0].to(device)])
    _wait(device)
    started = time.perf_counter()
    for rows in order:
        step(store[rows.to(device)])
    _wait(device)
    return time.perf_counter() - started


def _prepare(shape: Shape, device: torch.device) -> Callable[[], object]:
    """A step on resident images that ends when the device has done it."""
    step = stepper(shape, device)
    images = shape.batch(torch.Generator().manual_seed(0))[0].images.to(device)

    def run() -> None:
        step(images)
        _wait(device)

    return run


def packed_rate(shape: Shape, scale: Scale, device: torch.device, processes: int) -> float:
    """Examples per second of so many processes together."""
    with timed_processes([partial(_prepare, shape, device)] * processes) as running:
        for process in running:
            process.turn(2, threads=1)
        started = time.perf_counter()
        for process in running:
            process.start(scale.steps, threads=1)
        for process in running:
            process.finish()
        return processes * scale.steps * shape.config.batch_size / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _attempt(measure: Callable[[], float], form: str) -> str:
    """What was measured, or that it needs more memory than there is."""
    try:
        return form.format(measure())
    except torch.OutOfMemoryError:
        return "out of memory"


def measure(scale: Scale, device: torch.device) -> Iterator[tuple[str, str, str]]:
    """Rows of the table: shape and batch, what was done, and how fast it was."""
    sized = [
        replace(shape, config=replace(shape.config, batch_size=batch)) for shape in SHAPES for batch in scale.batches
    ]
    compiled = device.type == "cuda"  # elsewhere it would need a C++ compiler
    for shape in sized:
        title = f"{shape.name}, {shape.config.batch_size}"
        for variant in VARIANTS:
            if compiled or not VARIANTS[variant][2]:
                yield title, variant, _attempt(partial(rate, shape, scale, device, variant), "{:,.0f} examples/s")
    paper = sized[0]
    title = f"{paper.name}, {paper.config.batch_size}"
    yield title, "epoch of VQA v1", _attempt(partial(epoch_seconds, paper, scale, device), "{:,.1f} s")
    for count in scale.processes:
        yield title, f"{count} processes", f"{packed_rate(paper, scale, device, count):,.0f} examples/s"


def main(arguments: list[str] | None = None) -> None:
    """Times training on one GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=main.__doc__)
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--quick", action="store_true", help="run all the code with next to no work")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    table = Table("shape, batch", "what", "result", title=f"Training on {name}, torch {torch.__version__}")
    for row in measure(QUICK if options.quick else Scale(), device):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
