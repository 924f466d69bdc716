"""An LSTM over a tree of prefixes: questions that begin with the same words share the steps of these words.

Shapes: N nodes, level by level; H hidden. Gates are in the order of `nn.LSTM`: input, forget, cell, output. The
input of a gate is what its sigmoid or tanh is applied to.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

# torch has no public function for the gradient of a sigmoid or tanh, given its output.
_sigmoid_backward = torch.ops.aten.sigmoid_backward
_tanh_backward = torch.ops.aten.tanh_backward


def reference_tree_lstm(gate_inputs: Tensor, w_hidden: Tensor, parents: Sequence[Tensor]) -> Tensor:
    """Computes the hidden state of each node by the plain equations (paper, equations (3) to (7)).

    Training uses `tree_lstm`, which computes the same faster.

    Args:
        gate_inputs: W_x x + b of each node's word, the part that the word adds to the inputs of the four
            gates [N, 4H].
        w_hidden: W_h, weights from the parent's hidden state to the gates [4H, H].
        parents: for each level, the index of each node's parent within the previous level. Nodes of the first level
            start from a hidden and a cell state of zeros.

    Returns:
        Hidden states [N, H].
    """
    hidden = cell = gate_inputs.new_zeros(len(gate_inputs), w_hidden.shape[1])
    level_sizes, levels = [len(parent) for parent in parents], []
    for parent, from_word in zip(parents, torch.split(gate_inputs, level_sizes), strict=True):
        previous_hidden, previous_cell = hidden[parent], cell[parent]
        i, f, g, o = (from_word + previous_hidden @ w_hidden.T).chunk(4, dim=1)  # the inputs of the gates
        input_gate = torch.sigmoid(i)  # (3)
        forget_gate = torch.sigmoid(f)  # (4)
        output_gate = torch.sigmoid(o)  # (5)
        cell = forget_gate * previous_cell + input_gate * torch.tanh(g)  # (6)
        hidden = output_gate * torch.tanh(cell)  # (7)
        levels.append(hidden)
    return torch.cat(levels)


def tree_lstm(gate_inputs: Tensor, w_hidden: Tensor, parents: Sequence[Tensor]) -> Tensor:
    """The same as `reference_tree_lstm`, but faster: with a hand-written backward pass.

    Each step writes into memory that is there, and the gradient of `w_hidden` is one matrix product for all levels.
    Arguments as for `reference_tree_lstm`; `w_hidden` must have the type of `gate_inputs`.
    """
    return _TreeLSTM.apply(gate_inputs, w_hidden, parents)  # type: ignore[no-any-return]


class _TreeLSTM(Function):
    @staticmethod
    def forward(ctx: Any, gate_inputs: Tensor, w_hidden: Tensor, parents: Sequence[Tensor]) -> Tensor:  # noqa: ANN401 - torch gives it no public type
        level_sizes = [len(parent) for parent in parents]
        shape = len(gate_inputs), w_hidden.shape[1]
        gates = gate_inputs.clone()  # [N, 4H], after their sigmoid or tanh
        hidden, cell, tanh_cell = (gate_inputs.new_empty(shape) for _ in range(3))
        previous_hidden, previous_cell = (gate_inputs.new_zeros(shape) for _ in range(2))  # of the parents
        previous_level: tuple[Tensor, Tensor] | None = None
        levels = _by_level(level_sizes, gates, hidden, cell, tanh_cell, previous_hidden, previous_cell)
        for parent, (level_gates, h, c, tanh_c, previous_h, previous_c) in zip(parents, levels, strict=True):
            if previous_level is not None:
                torch.index_select(previous_level[0], 0, parent, out=previous_h)
                torch.index_select(previous_level[1], 0, parent, out=previous_c)
                level_gates.addmm_(previous_h, w_hidden.t())
            input_gate, forget_gate, cell_gate, output_gate = level_gates.chunk(4, dim=1)
            level_gates[:, : 2 * shape[1]].sigmoid_()  # the input and the forget gate
            cell_gate.tanh_()
            output_gate.sigmoid_()
            torch.mul(previous_c, forget_gate, out=c).addcmul_(input_gate, cell_gate)
            torch.mul(output_gate, torch.tanh(c, out=tanh_c), out=h)
            previous_level = h, c
        ctx.level_sizes, ctx.parents = level_sizes, parents
        ctx.save_for_backward(gates, previous_hidden, previous_cell, tanh_cell, w_hidden)
        return hidden

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401 - as above
        gates, previous_hidden, previous_cell, tanh_cell, w_hidden = ctx.saved_tensors
        input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4, dim=1)
        # First, for all nodes at once: dc_di, dc_df, dc_dg, the derivatives of a node's cell state with respect to the
        # inputs of its input, forget and cell gate, and dh_do, that of its hidden state with respect to the input of
        # its output gate. They lie in the memory of the gradients, which they become below.
        grad_gate_inputs = torch.empty_like(gates)
        dc_di, dc_df, dc_dg, dh_do = grad_gate_inputs.chunk(4, dim=1)
        # Equation (6): cell = forget_gate * previous_cell + input_gate * cell_gate
        _sigmoid_backward.grad_input(cell_gate, input_gate, grad_input=dc_di)
        _sigmoid_backward.grad_input(previous_cell, forget_gate, grad_input=dc_df)
        _tanh_backward.grad_input(input_gate, cell_gate, grad_input=dc_dg)
        # Equation (7): hidden = output_gate * tanh(cell)
        _sigmoid_backward.grad_input(tanh_cell, output_gate, grad_input=dh_do)
        dh_dc = _tanh_backward(output_gate, tanh_cell)
        # Then, from the last level to the first, each derivative is multiplied in place by the gradient of the node's
        # cell or hidden state: now it is the gradient of the gate's input.
        grad_hidden = grads[0].clone()
        grad_cell = torch.zeros_like(grad_hidden)
        levels = list(_by_level(ctx.level_sizes, grad_gate_inputs, grad_hidden, grad_cell, dh_dc, forget_gate))
        for level in reversed(range(len(levels))):
            level_grads, grad_h, grad_c, level_dh_dc, level_forget = levels[level]
            grad_c.addcmul_(grad_h, level_dh_dc)
            by_gate = level_grads.view(len(level_grads), 4, -1)
            by_gate[:, :3].mul_(grad_c.unsqueeze(1))
            by_gate[:, 3].mul_(grad_h)
            if level:
                parent, (_, grad_previous_h, grad_previous_c, *_) = ctx.parents[level], levels[level - 1]
                grad_previous_h.index_add_(0, parent, torch.mm(level_grads, w_hidden))
                grad_previous_c.index_add_(0, parent, grad_c.mul_(level_forget))
        first = ctx.level_sizes[0]  # nodes that start from zeros: they add nothing to the gradient of w_hidden
        return grad_gate_inputs, grad_gate_inputs[first:].t() @ previous_hidden[first:], None


def _by_level(level_sizes: list[int], *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cuts each tensor [N, ...] into its levels, and yields the parts of all tensors level by level."""
    return zip(*(torch.split(tensor, level_sizes) for tensor in tensors), strict=True)
