"""Question encoders of W members at once: what `san_core.models.question_encoder` computes, with fixed shapes.

All members read the same words. Words lie at the end of their row for the LSTM, so that all questions end at the last
step, and at the start for the CNN. Gradients of word vectors are matrix products with the words as one-hot rows, since
adding them up by index has no fixed order on a GPU.

Shapes: W members, S questions, L words, V vocabulary, E embedding, H hidden.
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
    @staticmethod
    def forward(ctx: Any, weight: Tensor, words: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        ctx.vocabulary = weight.shape[1]
        ctx.save_for_backward(words)
        return weight.index_select(1, words)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - as above
        (words,) = ctx.saved_tensors
        grad = gradients[0]
        rows = pointwise.one_hot(words, ctx.vocabulary, grad.dtype)  # padding learns nothing
        return torch.bmm(rows.expand(len(grad), -1, -1), grad), None


def embed(weights: Weights, words: Tensor) -> Tensor:
    """Vectors [W, T, E] of word numbers [T]."""
    vectors: Tensor = _Embed.apply(weights["embedding"], words)
    return torch.bmm(vectors, weights["map_embedding"].transpose(1, 2)) if "map_embedding" in weights else vectors


class _LSTM(Function):
    """The steps of an LSTM, see `pointwise.lstm_cell_`. Gates are in the order of `nn.LSTM`."""

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
        # The loop has put the gradients where the gates were; the first step starts from a hidden state of 0.
        grad_hidden_weight = torch.bmm(
            gates[:, 1:].flatten(1, 2).transpose(1, 2), states.hidden[:, 1:steps].flatten(1, 2)
        )
        grads = gates.flatten(1, 2)
        grad_vectors = torch.bmm(grads, input_weight)
        return grad_vectors, torch.bmm(grads.transpose(1, 2), vectors), grads.sum(dim=1), grad_hidden_weight, None


def lstm(weights: Weights, words: Tensor, is_word: Tensor) -> Tensor:
    """Vectors [W, S, H] of questions: the hidden state after the last word.

    Args:
        weights: of the cohort.
        words: word numbers [L, S], each question at the end of its column.
        is_word: which of them belong to a question [L, S].
    """
    vectors = embed(weights, words.flatten())
    bias = (weights["lstm_input_bias"] + weights["lstm_hidden_bias"]).flatten(1, 2)
    hidden: Tensor = _LSTM.apply(
        vectors, weights["lstm_input"].flatten(1, 2), bias, weights["lstm_hidden"].flatten(1, 2), is_word
    )
    return hidden


def cnn(weights: Weights, words: Tensor, lengths: Tensor) -> Tensor:
    """Vectors [W, S, H] of questions: tanh(W x_{t:t+n-1} + b), n = 1, 2, 3, at the strongest place t of each filter.

    Args:
        weights: of the cohort.
        words: word numbers [S, L], each question at the start of its row, two words of padding after the longest.
        lengths: words of each question, at least 1 [S].
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
