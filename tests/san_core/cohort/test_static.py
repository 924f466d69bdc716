"""What a CUDA graph needs of a step, proved without a GPU: nothing is read back, no shape depends on the data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.san_core.cohort.cohorts import Cohort, cohort, configs_of

SETTINGS = pytest.mark.parametrize(
    "settings",
    [
        {},
        {"question_encoder": "cnn", "attention": "bounded", "clip_norm": 0.1, "clip_by": "tensor"},
        {"answer_target": "soft", "clip_norm": 0.1},
        {"feature_dropout": 0.5},
    ],
    ids=["lstm", "cnn", "soft", "feature dropout"],
)
MOST_OPERATIONS = 420
"""Operations of a step that are more than a view; 5 words, 2 hops."""


class CountOperations(TorchDispatchMode):
    """Counts the operations that launch something: those that are no view."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += not func.is_view and "detach" not in str(func)
        return func(*args, **(kwargs or {}))


class OneDevice(TorchDispatchMode):
    """Refuses an operation on tensors of two devices: it would wait for a copy."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        found = {leaf.device.type for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)}
        assert len(found) <= 1, f"{func} meets tensors on {found}"
        return result


def _on_meta(members: int, **settings: object) -> Cohort:
    return cohort(configs_of(1, **settings) * members, "meta", dtype=torch.float32, working=torch.bfloat16)


def _operations(members: int, **settings: object) -> int:
    made = _on_meta(members, **settings)
    with CountOperations() as counted:
        made.step.run(None)
    return counted.count


@SETTINGS
def test_a_whole_step_runs_on_the_meta_device(settings: dict[str, object]) -> None:
    made = _on_meta(2, **settings)
    made.step.run(None)
    assert made.network.weights.device.type == "meta"


@SETTINGS
def test_the_operations_of_a_step_do_not_depend_on_the_members(settings: dict[str, object]) -> None:
    one, sixteen = _operations(1, **settings), _operations(16, **settings)
    assert abs(one - sixteen) <= 4
    assert sixteen <= MOST_OPERATIONS


@contextmanager
def _patched(made: Cohort, mistake: Callable[[Tensor], object]) -> Iterator[None]:
    """Puts a mistake into the step: it is called with the logits."""
    logits = made.network.logits

    def mistaken(*args: Any) -> Tensor:
        found = logits(*args)
        mistake(found)
        return found

    made.network.logits = mistaken  # type: ignore[method-assign]
    yield


@pytest.mark.parametrize(
    "mistake",
    [
        lambda logits: logits.sum().item(),
        lambda logits: logits.nonzero(),
        lambda logits: logits + torch.zeros(logits.shape),
        lambda logits: logits.unique(),
    ],
    ids=["a value read back", "a shape that depends on data", "a host tensor", "unique"],
)
def test_a_mistake_does_not_pass_on_the_meta_device(mistake: Callable[[Tensor], object]) -> None:
    made = _on_meta(1)
    with _patched(made, mistake), pytest.raises((RuntimeError, NotImplementedError)):
        made.step.run(None)


@SETTINGS
def test_the_traced_step_meets_no_host_tensor_on_a_fake_gpu(settings: dict[str, object]) -> None:
    made = cohort(configs_of(2, **settings), dtype=torch.float32, working=torch.bfloat16)
    random = made.step.draw(torch.Generator().manual_seed(0))
    kept = [*made.step.state, *(made.step.grads, *vars(made.questions).values())]

    def step(*_: Tensor) -> list[Tensor]:
        batch = made.step.buffers.batch(made.step.features)
        made.step.train(batch, random)
        return [made.step.losses, made.network.weights]

    traced = make_fx(step, tracing_mode="fake", _allow_non_fake_inputs=True)(*kept)
    gpu = torch.device("cuda:0")
    for node in traced.graph.nodes:
        if node.kwargs.get("device") is not None:
            node.kwargs = {**node.kwargs, "device": gpu}
    traced.recompile()
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        for name, value in list(traced.named_buffers()) + [
            (name, value) for name, value in vars(traced).items() if isinstance(value, Tensor)
        ]:
            setattr(traced, name, fake.from_tensor(value).to(gpu))
        inputs = [fake.from_tensor(tensor).to(gpu) for tensor in kept]
        with torch.no_grad(), OneDevice():
            losses, weights = traced(*inputs)
    assert losses.device == weights.device == gpu
