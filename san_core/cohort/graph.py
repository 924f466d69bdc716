"""A step as a CUDA graph: captured once, replayed with one launch."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

WARM_UP = 3
"""Steps before the capture, on the stream that captures: libraries set themselves up in them."""


class Step(Protocol):
    """What can be captured: it reads and writes tensors that keep their place, and reads nothing back."""

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that a step changes."""

    def run(self, generator: torch.Generator | None) -> None:
        """Does the step."""


class EagerStep:
    """A step that is launched operation by operation.

    Args:
        step: the step.
        generator: of its random numbers.
    """

    def __init__(self, step: Step, generator: torch.Generator | None) -> None:
        self._step, self._generator = step, generator

    def __call__(self) -> None:
        """Does the step."""
        self._step.run(self._generator)


class GraphedStep:
    """A step that is captured when it is made, and replayed. Capturing changes no state.

    Args:
        step: the step.
        generator: of its random numbers, on the GPU; its seed may be set anew between replays.
        pool: memory that graphs share, from `torch.cuda.graph_pool_handle`.

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
    """Puts back afterwards what the steps inside change."""
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
    """Garbage collection inside a capture can end it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
