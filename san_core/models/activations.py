"""Tanh whose cost on a CPU is that of reading and writing."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_BLOCK = 2**17
"""Elements at a time: half a megabyte of float32 stays in a core's cache."""


def tanh_(x: Tensor, kept: Tensor | None = None) -> Tensor:
    """Tanh in place, of a contiguous tensor, times `kept` (of the same shape and type) where given; no gradient.

    torch works out bfloat16's tanh at a quarter of float32's speed on a CPU, so it is done in float32, block by
    block. The result is as exact.
    """
    if x.dtype != torch.bfloat16 or x.device.type != "cpu":
        return x.tanh_() if kept is None else x.tanh_().mul_(kept)
    for start in range(0, x.numel(), _BLOCK):
        block = x.view(-1)[start : start + _BLOCK]
        block.copy_(block.float().tanh_())
        if kept is not None:
            block.mul_(kept.view(-1)[start : start + _BLOCK])
    return x


class _Tanh(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch gives it no public type
        ctx.mark_dirty(x)
        ctx.save_for_backward(tanh_(x))
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401 - as above
        (result,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(gradients[0], result)  # type: ignore[no-any-return]


def tanh(x: Tensor) -> Tensor:
    """Tanh, written over `x`: for a contiguous result nobody else needs, such as a linear layer's."""
    return _Tanh.apply(x)  # type: ignore[no-any-return]
