"""The last state of an LSTM, for training: no work on padding, and one product for each weight's gradient.

Shapes: U sequences, longest first; N steps of all sequences together, those of every first place before those of
every second, and so on; H hidden. Gates are in the order of `nn.LSTM`: input, forget, cell, output.
"""

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

aten = torch.ops.aten


class _LastState(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, counts: list[int]) -> Tensor:  # noqa: ANN401 - torch's own
        size = weight.shape[1]
        gates = inputs.clone()  # [N, 4H]
        hidden, cell = (inputs.new_zeros(counts[0], size) for _ in range(2))
        before, cells = (inputs.new_empty(len(inputs), size) for _ in range(2))  # hidden and cell each step starts from
        bent = inputs.new_empty(len(inputs), size)  # tanh of the cell it ends with
        for step, count in _steps(counts):
            before[step], cells[step] = hidden[:count], cell[:count]
            now = gates[step].addmm_(hidden[:count], weight.t())
            write, forget, candidate, output = now.chunk(4, dim=1)
            now[:, : 2 * size].sigmoid_()
            candidate.tanh_()
            output.sigmoid_()
            cell[:count].mul_(forget).addcmul_(write, candidate)
            torch.mul(output, torch.tanh(cell[:count], out=bent[step]), out=hidden[:count])
        ctx.counts = counts
        ctx.save_for_backward(gates, before, cells, bent, weight)
        return hidden

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401 - as above
        gates, before, cells, bent, weight = ctx.saved_tensors
        write, forget, candidate, output = gates.chunk(4, dim=1)
        # First, for all steps at once, how much each gate changes its step's cell, and the output gate the state.
        of_gates = torch.empty_like(gates)
        of_write, of_forget, of_candidate, of_output = of_gates.chunk(4, dim=1)
        aten.sigmoid_backward.grad_input(candidate, write, grad_input=of_write)
        aten.sigmoid_backward.grad_input(cells, forget, grad_input=of_forget)
        aten.tanh_backward.grad_input(write, candidate, grad_input=of_candidate)
        aten.sigmoid_backward.grad_input(bent, output, grad_input=of_output)
        slope = aten.tanh_backward(output, bent)  # of the state, as the cell changes
        of_hidden = gradients[0].clone()
        of_cell = torch.zeros_like(of_hidden)
        for step, count in reversed(_steps(ctx.counts)):
            h, c = of_hidden[:count], of_cell[:count]
            c.addcmul_(h, slope[step])
            by_gate = of_gates[step].view(count, 4, -1)
            by_gate[:, :3].mul_(c.unsqueeze(1))
            by_gate[:, 3].mul_(h)
            c.mul_(forget[step])
            torch.mm(of_gates[step], weight, out=h)
        return of_gates, of_gates.t() @ before, None


def last_state(inputs: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
    """The state [U, H] of an LSTM after each sequence's last step.

    Args:
        inputs: what the input and the biases add to the gates [N, 4H].
        weight: of the state [4H, H], of the inputs' type.
        counts: how many sequences are that long, for each place: U at the first, never more at the next.
    """
    return _LastState.apply(inputs, weight, counts)  # type: ignore[no-any-return]


def _steps(counts: list[int]) -> list[tuple[slice, int]]:
    """Where each place's steps are among the N, and how many."""
    return [(slice(end - count, end), count) for end, count in zip(accumulate(counts), counts, strict=True)]
