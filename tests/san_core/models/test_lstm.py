"""The fast LSTM and its hand-written gradients beside the plain equations and the gradients of autograd."""

import pytest
import torch
from torch import Tensor, nn

from san_core.models.lstm import reference_tree_lstm, tree_lstm

HIDDEN = 5
CHAIN = [[0], [0], [0], [0]]
TREE = [[0, 0, 0], [2, 0, 0, 2], [3, 1], [0, 1, 1, 1]]  # the second node of the first level has no child
ONE_LEVEL = [[0, 0]]


def _inputs(parents: list[list[int]], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, list[Tensor]]:
    torch.manual_seed(0)
    gate_inputs = torch.randn(sum(map(len, parents)), 4 * HIDDEN, dtype=dtype, requires_grad=True)
    w_hidden = torch.randn(4 * HIDDEN, HIDDEN, dtype=dtype, requires_grad=True)
    return gate_inputs, w_hidden, [torch.tensor(parent) for parent in parents]


@pytest.mark.parametrize("parents", [CHAIN, TREE, ONE_LEVEL], ids=["chain", "tree", "one level"])
def test_fast_lstm_and_its_gradients_are_those_of_the_reference(parents: list[list[int]]) -> None:
    inputs = _inputs(parents)
    found, expected = tree_lstm(*inputs), reference_tree_lstm(*inputs)
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(expected)  # a gradient for every node, not only for the last of a question
    both = [torch.autograd.grad((hidden * direction).sum(), inputs[:2]) for hidden in (found, expected)]
    torch.testing.assert_close(*both)


def test_reference_is_nn_lstm_along_a_chain() -> None:
    gate_inputs, w_hidden, parents = _inputs(CHAIN)
    lstm = nn.LSTM(4 * HIDDEN, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.eye(4 * HIDDEN))
        lstm.weight_hh_l0.copy_(w_hidden)
        lstm.bias_ih_l0.zero_()
        lstm.bias_hh_l0.zero_()
    torch.testing.assert_close(reference_tree_lstm(gate_inputs, w_hidden, parents), lstm(gate_inputs)[0])
