"""A step as a CUDA graph: captured once, replayed with one launch."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

WARM_UP = 3
"""Steps that run before the capture, on the same stream, so that libraries such as cuBLAS are initialized."""


class Step(Protocol):
    """A step that can be captured: its tensors keep their addresses, and it reads no value back to the host."""

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that the step changes."""

    def run(self, generator: torch.Generator | None) -> None:
        """Runs the step."""


class EagerStep:
    """A step that runs without a graph, operation by operation.

    Args:
        step: the step.
        generator: generator of its random numbers; None for PyTorch's default.
    """

    def __init__(self, step: Step, generator: torch.Generator | None) -> None:
        self._step, self._generator = step, generator

    def __call__(self) -> None:
        """Runs the step."""
        self._step.run(self._generator)


class GraphedStep:
    """A step that is captured once, and then replayed. The capture changes no state.

    Args:
        step: the step.
        generator: generator of its random numbers, on the GPU; its seed may be changed between replays.
        pool: memory pool that graphs share, from `torch.cuda.graph_pool_handle`.

    Raises:
        torch.OutOfMemoryError: if the step needs more memory than there is; the process should then end.
    """

    def __init__(self, step: Step, generator: torch.Generator, pool: Any) -> None:  # noqa: ANN401 - torch's own
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(generator)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with _unchanged(step, generator), _no_collection():
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    step.run(generator)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                step.run(generator)

    def __call__(self) -> None:
        """Replays the step."""
        self._graph.replay()


@contextmanager
def _unchanged(step: Step, generator: torch.Generator) -> Iterator[None]:
    """Restores the state of the step and of the generator at the end."""
    saved = [tensor.clone() for tensor in step.state]
    random = generator.get_state()
    try:
        yield
    finally:
        for tensor, value in zip(step.state, saved, strict=True):
            tensor.copy_(value)
        generator.set_state(random)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Disables garbage collection, which can make a capture fail."""
    before = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
