"""The training step of a shape: the one that one would first write, the one for CPUs, and that of cohorts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.gpu.random_cohorts import cohort_step
from benchmarks.gpu.timing import Scale, seconds_of
from benchmarks.plain import PlainStep
from benchmarks.shapes import SHAPES, Shape
from benchmarks.step import products
from san_core.cohort import pointwise
from san_core.cohort.graph import EagerStep, GraphedStep
from san_core.command_line import print_message
from san_core.optimizer import build_optimizer
from san_core.training import train_step


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        shape: name of the shape, and questions per step.
        what: name of the step that is timed.
        members: cohort width W.
        examples: examples per second of all members together.
        ratio: speed relative to the plain float32 step.
        share: rate of the step's matrix products as a share of the bfloat16 rate, in [0, 1].
        launches: number of operations that a step starts on the device; None if they were not counted.
        memory: peak memory in use on the device, in MiB.
    """

    shape: str
    what: str
    members: int
    examples: float
    ratio: float
    share: float
    launches: int | None
    memory: float


def sized_shapes(names: Sequence[str] | None) -> list[Shape]:
    """The shapes that are timed: each with its own batch size, and the paper's with 1000 too."""
    paper = SHAPES[0]
    larger = replace(paper, name=f"{paper.name} 1000", config=replace(paper.config, batch_size=1000))
    return [shape for shape in [*SHAPES, larger] if not names or shape.name in names]


def rows_of(shape: Shape, scale: Scale, device: torch.device, rate: float) -> Iterator[Row]:
    """Measures every kind of step for a shape."""
    batch = shape.config.batch_size
    baseline = batch / seconds_of(plain_step(shape, device), scale.steps, device)

    def row(what: str, members: int, seconds: float, launches: int | None) -> Row:
        examples = members * batch / seconds
        share = products(shape) * examples / batch / rate
        memory = torch.cuda.max_memory_reserved(device) / 2**20 if device.type == "cuda" else 0.0
        return Row(shape.name, what, members, examples, examples / baseline, share, launches, memory)

    yield row("plain float32", 1, batch / baseline, None)
    yield row("as on a CPU", 1, seconds_of(previous_step(shape, device), scale.steps, device), None)
    for members in scale.members:
        try:
            for what, step, launches in cohort_steps(shape, members, scale, device):
                yield row(what, members, seconds_of(step, scale.steps, device), launches)
        except torch.OutOfMemoryError:
            print_message(f"{shape.name}: {members} members need more memory than there is")


def plain_step(shape: Shape, device: torch.device) -> Callable[[], object]:
    """The step that one would first write in PyTorch, in float32."""
    torch.manual_seed(0)
    batch, targets = shape.batch(torch.Generator().manual_seed(0))
    features = batch.images[batch.image_rows].float().to(device)
    tokens, targets = batch.tokens[batch.question_rows].to(device), targets.to(device)
    step = PlainStep(shape)
    step.model.to(device).train()
    return lambda: step(features, tokens, targets)


def previous_step(shape: Shape, device: torch.device) -> Callable[[], object]:
    """The step that this project uses on a CPU, with the features in the device's memory."""
    torch.manual_seed(0)
    batch, targets = shape.batch(torch.Generator().manual_seed(0))
    batch, targets = batch.to(device), targets.to(device)
    model = shape.network().to(device).train()
    optimizer = build_optimizer(model, shape.config)
    return lambda: train_step(model, optimizer, batch, targets, shape.config)


def cohort_steps(
    shape: Shape, members: int, scale: Scale, device: torch.device
) -> Iterator[tuple[str, Callable[[], object], int | None]]:
    """Name, step and number of launches of each form of the cohort's step: as a CUDA graph and without one."""
    generator = torch.Generator(device)
    step = cohort_step(shape, members, scale, device)
    run = EagerStep(step, generator)
    if device.type != "cuda":
        yield "cohort", run, None
        return
    if members == scale.members[0]:
        with pointwise.plain_operations():
            graph = GraphedStep(step, generator, torch.cuda.graph_pool_handle())
            yield "cohort, plain operations, graph", graph, launches_of(run)
            del graph
        yield "cohort, no graph", run, launches_of(run)
    graph = GraphedStep(step, generator, torch.cuda.graph_pool_handle())
    yield "cohort, graph", graph, launches_of(run)
    del graph


def launches_of(step: Callable[[], object]) -> int:
    """Number of operations that a step starts on the device."""
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step()
        torch.cuda.synchronize()
    return sum(event.count for event in profile.key_averages() if event.device_type.name == "CUDA")
