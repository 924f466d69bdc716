"""An LSTM along the branches of a tree, with one product for each weight's gradient.

Shapes: N nodes, level by level; H hidden. Gates are in the order of `nn.LSTM`: input, forget, cell, output.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

aten = torch.ops.aten


class _States(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, parents: Sequence[Tensor]) -> Tensor:  # noqa: ANN401 - torch's own
        levels = [len(level) for level in parents]
        shape = len(inputs), weight.shape[1]
        gates = inputs.clone()  # [N, 4H]
        hidden, cells, bent = (inputs.new_empty(shape) for _ in range(3))  # `bent` is the cells' tanh
        before, cells_before = (inputs.new_empty(shape) for _ in range(2))  # what each node starts from
        above: tuple[Tensor, Tensor] | None = None
        parts = _by_level(levels, gates, hidden, cells, bent, before, cells_before)
        for parent, (now, h, c, tanh_c, h_before, c_before) in zip(parents, parts, strict=True):
            if above is None:
                h_before.zero_()
                c_before.zero_()
            else:
                torch.index_select(above[0], 0, parent, out=h_before)
                torch.index_select(above[1], 0, parent, out=c_before)
                now.addmm_(h_before, weight.t())
            write, forget, candidate, output = now.chunk(4, dim=1)
            now[:, : 2 * shape[1]].sigmoid_()
            candidate.tanh_()
            output.sigmoid_()
            torch.mul(c_before, forget, out=c).addcmul_(write, candidate)
            torch.mul(output, torch.tanh(c, out=tanh_c), out=h)
            above = h, c
        ctx.levels, ctx.parents = levels, parents
        ctx.save_for_backward(gates, before, cells_before, bent, weight)
        return hidden

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401 - as above
        gates, before, cells_before, bent, weight = ctx.saved_tensors
        write, forget, candidate, output = gates.chunk(4, dim=1)
        # First, for all nodes at once, how much each gate changes its cell, and the output gate the state.
        of_gates = torch.empty_like(gates)
        of_write, of_forget, of_candidate, of_output = of_gates.chunk(4, dim=1)
        aten.sigmoid_backward.grad_input(candidate, write, grad_input=of_write)
        aten.sigmoid_backward.grad_input(cells_before, forget, grad_input=of_forget)
        aten.tanh_backward.grad_input(write, candidate, grad_input=of_candidate)
        aten.sigmoid_backward.grad_input(bent, output, grad_input=of_output)
        slope = aten.tanh_backward(output, bent)  # of the state, as the cell changes
        of_hidden = gradients[0].clone()
        of_cells = torch.zeros_like(of_hidden)
        parts = list(_by_level(ctx.levels, of_gates, of_hidden, of_cells, slope, forget))
        for level in reversed(range(len(parts))):
            of_now, h, c, slope_here, forget_here = parts[level]
            c.addcmul_(h, slope_here)
            by_gate = of_now.view(len(of_now), 4, -1)
            by_gate[:, :3].mul_(c.unsqueeze(1))
            by_gate[:, 3].mul_(h)
            if level:
                parent, (_, h_above, c_above, *_) = ctx.parents[level], parts[level - 1]
                h_above.index_add_(0, parent, torch.mm(of_now, weight))
                c_above.index_add_(0, parent, c.mul_(forget_here))
        first = ctx.levels[0]  # starts from zeros, so its states say nothing of the weight
        return of_gates, of_gates[first:].t() @ before[first:], None


def states(inputs: Tensor, weight: Tensor, parents: Sequence[Tensor]) -> Tensor:
    """The state [N, H] of an LSTM at each node of a tree, which it enters with its parent's state and cell.

    Args:
        inputs: what the input and the biases add to the gates [N, 4H].
        weight: of the state [4H, H], of the inputs' type.
        parents: for each level, where in the level above each node's parent is; the first starts from zeros.
    """
    return _States.apply(inputs, weight, parents)  # type: ignore[no-any-return]


def _by_level(levels: list[int], *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors' parts [N of the level, ...] of each level."""
    return zip(*(torch.split(tensor, levels) for tensor in tensors), strict=True)
