"""`python -m benchmarks.step`: compares the training step with a plain PyTorch one.

The step timed is `san_core.training.train_step`, with the network and optimizer that training builds.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import torch
from rich.table import Table
from torch import Tensor

from benchmarks.output import add_output_options, output_results
from benchmarks.plain import PlainStep
from benchmarks.shapes import SHAPES, Shape
from benchmarks.turns import Task, median_ratio, take_turns, timed_processes
from san_core.command_line import run_command
from san_core.data.prepared import Batch
from san_core.data.vocabulary import PADDING
from san_core.hardware import keep_freed_memory
from san_core.models.prefix_tree import PrefixTree
from san_core.optimizer import build_optimizer
from san_core.training import train_step

MATRIX = 4096
"""Edge of the matrices whose product measures the bfloat16 rate of the machine."""


@dataclass(frozen=True)
class Comparison:
    """The speed of two steps.

    Attributes:
        shape, threads: shape and number of threads of both steps.
        plain, fast: median examples per second of each step.
        ratio: speed of the fast step relative to the plain one, median over the rounds.
        bf16_share: rate of the fast step's matrix products as a share of the bfloat16 matrix rate measured in the same
            rounds, in [0, 1].
    """

    shape: str
    threads: int
    plain: float
    fast: float
    ratio: float
    bf16_share: float


def batch_of(shape: Shape) -> tuple[Batch, Tensor]:
    """The batch that both steps are timed on, and its right answers."""
    return shape.batch(torch.Generator().manual_seed(0))


def plain_step(shape: Shape) -> Callable[[], object]:
    """A plain PyTorch step: float32, each row with its own copy of image and question."""
    torch.manual_seed(0)
    batch, targets = batch_of(shape)
    features, tokens = batch.images[batch.image_rows].float(), batch.tokens[batch.question_rows]
    return partial(PlainStep(shape), features, tokens, targets)


def fast_step(shape: Shape) -> Callable[[], object]:
    """The step that training uses."""
    torch.manual_seed(0)
    keep_freed_memory()  # as `Training` does
    batch, targets = batch_of(shape)
    model = shape.network().train()
    return partial(train_step, model, build_optimizer(model, shape.config), batch, targets, shape.config)


def matrix_product() -> Callable[[], object]:
    """A bfloat16 product of square matrices, written into memory that is allocated before."""
    one, other, out = (torch.randn(MATRIX, MATRIX).bfloat16() for _ in range(3))
    return partial(torch.mm, one, other, out=out)


def products(shape: Shape) -> float:
    """Floating point operations in the matrix products of a step, forward and backward.

    For each product of the forward pass the backward pass computes two, but only one for the product with the features,
    which are not trained. Padding, repeated words and prefixes that questions share are not counted, nor is anything
    but matrix products.
    """
    config, (batch, _) = shape.config, batch_of(shape)
    rows, images = config.batch_size, len(batch.images)
    hidden, attention = config.hidden_size, config.attention_size
    prefixes = int((PrefixTree.of(batch.tokens).words != PADDING).sum())
    words = len(torch.unique(batch.tokens[batch.tokens != PADDING]))
    project = images * shape.regions * shape.channels * hidden
    hop = images * shape.regions * hidden * attention + rows * hidden * attention + 2 * rows * shape.regions * hidden
    lstm = 4 * hidden * (words * config.embedding_size + prefixes * hidden)
    return 2.0 * (2 * project + 3 * (config.hops * hop + lstm + rows * hidden * shape.answers))


def compare(shape: Shape, threads: Sequence[int], rounds: int) -> list[Comparison]:
    """Times both steps and a matrix product alternately, for each number of threads."""
    tasks: list[Task] = [partial(plain_step, shape), partial(fast_step, shape), matrix_product]
    with timed_processes(tasks) as running:
        return [_comparison(shape, count, take_turns(running, threads=count, rounds=rounds)) for count in threads]


def _comparison(shape: Shape, threads: int, seconds: Sequence[Sequence[float]]) -> Comparison:
    plain, fast, product = seconds
    rows = shape.config.batch_size
    return Comparison(
        shape=shape.name,
        threads=threads,
        plain=rows / statistics.median(plain),
        fast=rows / statistics.median(fast),
        ratio=median_ratio(plain, fast),
        bf16_share=products(shape) / (2 * MATRIX**3) * median_ratio(product, fast),
    )


def _table(found: list[Comparison]) -> Table:
    table = Table("shape", *("threads", "plain/s", "fast/s", "ratio", "of bf16 rate"), title="Training step")
    for row in found:
        figures = f"{row.plain:,.0f}", f"{row.fast:,.0f}", f"{row.ratio:.1f}", f"{row.bf16_share:.0%}"
        table.add_row(row.shape, str(row.threads), *figures)
    return table


def main(arguments: list[str] | None = None) -> None:
    """Times the training step on CPU cores; examples per second, plain and fast."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=main.__doc__)
    add_output_options(parser)
    parser.add_argument("--rounds", type=int, default=5, help="turns that each step takes (default: 5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads (default: 1 2)")
    parser.add_argument("--shapes", nargs="+", choices=[shape.name for shape in SHAPES], help="default: all")
    options = parser.parse_args(arguments)
    shapes = [shape for shape in SHAPES if not options.shapes or shape.name in options.shapes]
    found = [row for shape in shapes for row in compare(shape, options.threads, options.rounds)]
    output_results(options, [asdict(row) for row in found], [_table(found)])


if __name__ == "__main__":
    run_command(main)
