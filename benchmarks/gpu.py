"""`python -m benchmarks.gpu`: the training step on one GPU, for one configuration and for many at once.

Features and questions are random, so it needs neither data nor network. Beside the step of `san_core.cohort`, with and
without a CUDA graph, it times the step one would first write in float32 (`benchmarks.plain`) and the step that this
project uses on a CPU. Rows are printed as they are measured.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.plain import PlainStep
from benchmarks.shapes import SHAPES, Shape
from benchmarks.step import products
from san_core.cohort import pointwise
from san_core.cohort.batches import BatchBuffers, Slots
from san_core.cohort.data import PrefetchedFeatures, Questions, ResidentFeatures, padded_channels
from san_core.cohort.graph import EagerStep, GraphedStep
from san_core.cohort.layout import Layout, Sizes
from san_core.cohort.network import Network
from san_core.cohort.optimizer import CohortRMSprop, Hyperparameters
from san_core.cohort.step import TrainStep
from san_core.cohort.training import run_steps
from san_core.optimizer import build_optimizer
from san_core.training import train_step

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


def main(arguments: list[str] | None = None) -> None:
    """Times training on one GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=main.__doc__)
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--quick", action="store_true", help="run all the code with next to no work")
    parser.add_argument("--shapes", nargs="+", help="names of the shapes to time; default: all")
    parser.add_argument("--members", type=int, nargs="+", help="cohort widths; default: 1 4 16 64")
    parser.add_argument("--no-epoch", action="store_true", help="leave the epoch of VQA v1's size out")
    options = parser.parse_args(arguments)
    device, scale = torch.device(options.device), QUICK if options.quick else Scale()
    scale = replace(scale, members=tuple(options.members)) if options.members else scale
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    rate = bfloat16_rate(scale.matrix, device)
    console = Console(width=130)
    console.print(f"{name}, torch {torch.__version__}, bfloat16 products {rate / 1e12:,.0f} TFLOP/s")
    rows = []
    for shape in sized_shapes(options.shapes):
        for row in rows_of(shape, scale, device, rate):
            console.print("  ".join(cells(row)))
            rows.append(row)
    console.print(table_of(rows, f"Training step on {name}, torch {torch.__version__}"))
    if not options.no_epoch:
        console.print(epoch_table(scale, device, name))


def cells(row: Row) -> list[str]:
    """A row as text."""
    return [
        row.shape,
        row.what,
        str(row.members),
        f"{row.examples:,.0f}",
        f"{row.ratio:.1f}",
        f"{row.share:.0%}",
        "" if row.launches is None else str(row.launches),
        f"{row.memory:,.0f}",
    ]


def table_of(rows: Sequence[Row], title: str) -> Table:
    """The table of the rows."""
    table = Table(
        "shape, batch", "step", "members", "examples/s", "x plain", "of bf16 rate", "launches", "MiB", title=title
    )
    for row in rows:
        table.add_row(*cells(row))
    return table


def sized_shapes(names: Sequence[str] | None) -> list[Shape]:
    """The shapes that are timed: each with its own batch size, and the paper's with 1000 too."""
    paper = SHAPES[0]
    larger = replace(paper, name=f"{paper.name} 1000", config=replace(paper.config, batch_size=1000))
    return [shape for shape in [*SHAPES, larger] if not names or shape.name in names]


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
            Console().print(f"{shape.name}: {members} members need more memory than there is")


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


def cohort_step(
    shape: Shape,
    members: int,
    scale: Scale,
    device: torch.device,
    features: ResidentFeatures | PrefetchedFeatures | None = None,
    steps: int = 8,
) -> TrainStep:
    """Makes a training step of a shape with random weights, on random batches of the stored images."""
    config = shape.config
    working = torch.bfloat16 if device.type == "cuda" else torch.float32
    configs = [replace(config, seed=seed, learning_rate=1e-4 * (1 + seed)) for seed in range(members)]
    layout = Layout(config, Sizes(shape.vocabulary_size, shape.channels, shape.answers))
    network = Network(members, layout, device, working=working)
    network.set_members(configs)
    network.active.fill_(True)
    network.weights.normal_(std=0.02)
    network.working.copy_(network.weights)
    optimizer = CohortRMSprop(network, Hyperparameters.of(configs, device, torch.float32))
    slots = Slots(-(-config.batch_size // shape.questions_per_image), shape.questions_per_image)
    buffers = random_batches(shape, slots, steps, scale.stored, device)
    if features is None:
        store = torch.randn(scale.stored, shape.regions, shape.channels, device=device).relu().to(working)
        features = ResidentFeatures(padded_channels(store))
    questions = Questions.of(texts(shape), config.question_encoder, device)
    return TrainStep(network, optimizer, buffers, features, questions, regions=shape.regions)


def random_batches(shape: Shape, slots: Slots, steps: int, images: int, device: torch.device) -> BatchBuffers:
    """Makes batches of random images, questions and answers; every slot is filled."""
    buffers = BatchBuffers(steps, slots, None, device)
    buffers.images.copy_(torch.randint(images, buffers.images.shape))
    buffers.questions.copy_(torch.randint(len(texts(shape)), buffers.questions.shape))
    buffers.targets.copy_(torch.randint(shape.answers, buffers.targets.shape))
    buffers.filled.fill_(True)
    return buffers


def texts(shape: Shape) -> Tensor:
    """Random word numbers of the distinct questions [U, L], padded at the end with 0."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(2, shape.vocabulary_size, (shape.texts or 1000, shape.longest), generator=generator)
    lengths = torch.randint(shape.shortest, shape.longest + 1, (len(words), 1), generator=generator)
    words[torch.arange(shape.longest) >= lengths] = 0
    return words


def epoch_table(scale: Scale, device: torch.device, name: str) -> Table:
    """Measures an epoch of VQA v1's size, until its losses are read back."""
    table = Table("members", "features", "seconds", "examples/s", title=f"An epoch of VQA v1's size on {name}")
    shape = SHAPES[0]
    steps = -(-scale.questions // shape.config.batch_size)
    for members in scale.epoch_members:
        for kind in ("resident", "prefetched") if device.type == "cuda" and members == 1 else ("resident",):
            seconds = epoch_seconds(shape, members, scale, device, kind, steps)
            examples = f"{members * scale.questions / seconds:,.0f}"
            table.add_row(str(members), kind, f"{seconds:.2f}", examples)
            Console().print(
                f"epoch of VQA v1's size, {members} members, {kind}: {seconds:.2f} s, {examples} examples/s"
            )
    return table


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


if __name__ == "__main__":
    main()
