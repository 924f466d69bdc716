"""The question encoders of W members at once: the same as `san_core.models.question_encoder`, with fixed shapes.

All members read the same words. For the LSTM questions are padded at the start, so that all of them end at the last
step; for the CNN they are padded at the end. The gradient of the word embedding is a matrix product with one-hot words:
`index_add_` on a GPU adds in no fixed order.

Shapes: W members, S questions, L words, T = S L words of all questions, V vocabulary, E embedding, H hidden.
"""

from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from san_core.cohort import pointwise
from san_core.data.vocabulary import PADDING

Weights = dict[str, Tensor]
"""Blocks [W, ...] of the cohort's weights, by the names of `san_core.cohort.layout`."""


class _Embed(Function):
    """The word vectors [W, T, E] of word numbers [T], with a gradient that is the same in every run."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, words: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        ctx.vocabulary = weight.shape[1]
        ctx.save_for_backward(words)
        return weight.index_select(1, words)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - as above
        (words,) = ctx.saved_tensors
        grad = gradients[0]
        columns = pointwise.one_hot(words, ctx.vocabulary, grad.dtype)  # padding gets no gradient
        return torch.bmm(columns.expand(len(grad), -1, -1), grad), None


def embed(weights: Weights, words: Tensor) -> Tensor:
    """Computes the word vectors [W, T, E] of word numbers [T]."""
    vectors: Tensor = _Embed.apply(weights["embedding"], words)
    return torch.bmm(vectors, weights["map_embedding"].transpose(1, 2)) if "map_embedding" in weights else vectors


class _LSTM(Function):
    """All steps of an LSTM, see `pointwise.lstm_cell_`. The gates are in the order of `nn.LSTM`."""

    @staticmethod
    def forward(  # noqa: PLR0913 - torch's own form
        ctx: Any,  # noqa: ANN401 - as above
        vectors: Tensor,
        input_weight: Tensor,
        bias: Tensor,
        hidden_weight: Tensor,
        is_word: Tensor,
    ) -> Tensor:
        steps, rows = is_word.shape
        members, _, size = hidden_weight.shape
        gates = torch.bmm(vectors, input_weight.transpose(1, 2)).view(members, steps, rows, 4 * size)
        states = pointwise.CellStates(*(vectors.new_empty(members, steps + 1, rows, size) for _ in range(2)))
        states.hidden[:, 0].zero_()
        states.cell[:, 0].zero_()
        gates_from_hidden = None
        for step in range(steps):
            if step:
                gates_from_hidden = torch.bmm(states.hidden[:, step], hidden_weight.transpose(1, 2))
            pointwise.lstm_cell_(gates[:, step], gates_from_hidden, bias, is_word[step], states, step)
        ctx.save_for_backward(vectors, input_weight, hidden_weight, gates, *states)
        return states.hidden[:, steps].contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        vectors, input_weight, hidden_weight, gates, *states = ctx.saved_tensors
        states = pointwise.CellStates(*states)
        steps = gates.shape[1]
        grad_hidden = gradients[0].contiguous()
        grad_cell = torch.zeros_like(grad_hidden)
        for step in reversed(range(steps)):
            pointwise.lstm_cell_backward_(gates[:, step], grad_hidden, grad_cell, states, step)
            if step:
                grad_hidden = torch.bmm(gates[:, step], hidden_weight)
        # The loop has overwritten the gates with their gradients. The first step has no gradient for the hidden weight,
        # because its hidden state is 0.
        grad_hidden_weight = torch.bmm(
            gates[:, 1:].flatten(1, 2).transpose(1, 2), states.hidden[:, 1:steps].flatten(1, 2)
        )
        grads = gates.flatten(1, 2)
        grad_vectors = torch.bmm(grads, input_weight)
        return grad_vectors, torch.bmm(grads.transpose(1, 2), vectors), grads.sum(dim=1), grad_hidden_weight, None


def lstm(weights: Weights, words: Tensor, is_word: Tensor) -> Tensor:
    """Computes the question vectors [W, S, H]: the hidden state after the last word.

    Args:
        weights: blocks of the cohort's weights.
        words: word numbers [L, S]; each column is padded at the start.
        is_word: whether each of them is a word of the question [L, S].
    """
    vectors = embed(weights, words.flatten())
    bias = (weights["lstm_input_bias"] + weights["lstm_hidden_bias"]).flatten(1, 2)
    hidden: Tensor = _LSTM.apply(
        vectors, weights["lstm_input"].flatten(1, 2), bias, weights["lstm_hidden"].flatten(1, 2), is_word
    )
    return hidden


def cnn(weights: Weights, words: Tensor, lengths: Tensor) -> Tensor:
    """Computes the question vectors [W, S, H]: for each filter, the maximum of tanh(W x_{t:t+n-1} + b) over t.

    The filters cover n = 1, 2 and 3 words. The maximum is taken before adding b and tanh, which gives the same.

    Args:
        weights: blocks of the cohort's weights.
        words: word numbers [S, L]; each row is padded at the end, with two words more than the longest question has.
        lengths: number of words of each question, at least 1 [S].
    """
    rows, padded = words.shape
    longest = padded - 2
    vectors = embed(weights, words.flatten()) * (words.flatten() != PADDING).unsqueeze(1)
    starts = torch.arange(longest, device=words.device)
    strongest = []
    for count, name in enumerate(("unigram", "bigram", "trigram"), start=1):
        filters = weights[name]  # [W, n, F, E]
        by_word = torch.bmm(vectors, filters.flatten(1, 2).transpose(1, 2)).view(len(filters), rows, padded, count, -1)
        response = reduce(add, (by_word[:, :, place : place + longest, place] for place in range(count)))
        into_padding = starts > (lengths - count).clamp(min=0).unsqueeze(1)
        strongest.append(response.masked_fill(into_padding.unsqueeze(2), -torch.inf).amax(dim=2))
    return torch.tanh(torch.cat(strongest, dim=2) + weights["cnn_bias"].unsqueeze(1))
