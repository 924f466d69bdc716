"""Tanh written over its input, so that on a CPU it costs little more than reading and writing the tensor."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_BLOCK = 2**17
"""Elements per block: half a megabyte of float32, which stays in a core's cache."""


def tanh_(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Writes tanh(x) over a contiguous tensor and returns it; no gradient is recorded.

    On a CPU torch computes tanh of bfloat16 at a quarter of the speed of float32. So it is computed in float32, block
    by block, and rounded once.

    Args:
        x: a contiguous tensor.
        mask: factor of the result, of the same shape and type.
    """
    if x.dtype != torch.bfloat16 or x.device.type != "cpu":
        return x.tanh_() if mask is None else x.tanh_().mul_(mask)
    for start in range(0, x.numel(), _BLOCK):
        block = x.view(-1)[start : start + _BLOCK]
        block.copy_(block.float().tanh_())
        if mask is not None:
            block.mul_(mask.view(-1)[start : start + _BLOCK])
    return x


class _Tanh(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch gives it no public type
        ctx.mark_dirty(x)
        ctx.save_for_backward(tanh_(x))
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ANN401 - as above
        (output,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(grads[0], output)  # type: ignore[no-any-return]


def tanh(x: Tensor) -> Tensor:
    """Tanh with a gradient, written over `x`: for a contiguous tensor that nothing else needs.

    The output of a linear layer is such a tensor.
    """
    return _Tanh.apply(x)  # type: ignore[no-any-return]
