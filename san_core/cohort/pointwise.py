"""The operations of a step that are limited by memory, not by arithmetic: in plain PyTorch, or fused on a GPU.

The plain PyTorch code of a function says what it computes. On a GPU with Triton, the function of the same name in
`san_core.cohort.fused` computes the same in one pass over memory.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, K attention, H hidden, L words of a
question, V vocabulary. A function whose name ends in _ works in place: it overwrites arguments, as its docstring says.
"""

import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from san_core.data.vocabulary import PADDING

aten = torch.ops.aten

_fused = True


@cache
def has_triton() -> bool:
    """Whether Triton can be used: it is installed, and so are a C compiler and Python's headers, which it needs."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("gcc", "clang", "cc")), None)
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return importlib.util.find_spec("triton") is not None and compiler is not None and headers.is_file()


def uses_triton(tensor: Tensor) -> bool:
    """Whether the fused kernels are used for a tensor."""
    return _fused and tensor.is_cuda and tensor.dtype in {torch.bfloat16, torch.float32} and has_triton()


@contextmanager
def plain_operations() -> Iterator[None]:
    """Turns the fused kernels off inside the `with` block, to compare them with the plain operations."""
    global _fused  # noqa: PLW0603 - one switch for the process
    before, _fused = _fused, False
    try:
        yield
    finally:
        _fused = before


class Mask(NamedTuple):
    """Dropout of h in one hop: an element is dropped where its random byte is below the member's threshold.

    Attributes:
        random: random bytes (uint8), the same for all members [I, Q, R, K].
        thresholds: threshold of each member [W] (int32).
    """

    random: Tensor
    thresholds: Tensor


def _attention_hidden(
    projected_regions: Tensor, projected_query: Tensor, mask: Mask | None
) -> tuple[Tensor, Tensor | None]:
    """Computes h = dropout(tanh(W_I v + (W_Q u + b_A))) [W, I, Q, R, K], and which of its elements are kept."""
    members, images, _, size = projected_regions.shape
    h = (projected_regions.unsqueeze(2) + projected_query.view(members, images, -1, 1, size)).tanh_()
    if mask is None:
        return h, None
    kept = mask.random >= mask.thresholds.view(-1, 1, 1, 1, 1)
    return h.mul_(kept), kept


def attention_scores(
    projected_regions: Tensor, projected_query: Tensor, w_score: Tensor, b_score: Tensor, mask: Mask | None
) -> Tensor:
    """Computes the scores W_P h + b_P of one hop, with h = dropout(tanh(W_I v + (W_Q u + b_A))) (paper, section 3.3).

    Args:
        projected_regions: W_I v [W, I, R, K].
        projected_query: W_Q u + b_A [W, S, K].
        w_score: W_P, multiplied by the scale of dropout [W, K].
        b_score: b_P [W].
        mask: dropout mask; None without dropout.

    Returns:
        Scores [W, S, R], float32 where `projected_regions` is bfloat16.
    """
    if uses_triton(projected_regions):
        from san_core.cohort import fused

        return fused.attention_scores(projected_regions, projected_query, w_score, b_score, mask)
    members, _, regions, _ = projected_regions.shape
    h, _ = _attention_hidden(projected_regions, projected_query, mask)
    scores = torch.bmm(h.flatten(1, 3), w_score.unsqueeze(2)).view(members, -1, regions)
    score_dtype = torch.float32 if h.dtype == torch.bfloat16 else h.dtype
    return scores.to(score_dtype) + b_score.to(score_dtype).view(-1, 1, 1)


def attention_scores_backward_(
    grad_scores: Tensor, projected_regions: Tensor, projected_query: Tensor, w_score: Tensor, mask: Mask | None
) -> tuple[Tensor, Tensor]:
    """Computes the gradients of `attention_scores`. `projected_regions` is overwritten with its gradient.

    Args:
        grad_scores: gradient of the scores [W, S, R].
        projected_regions: see `attention_scores`. Its gradient is summed over the image's questions in a fixed order.
        projected_query: see `attention_scores`.
        w_score: see `attention_scores`.
        mask: see `attention_scores`.

    Returns:
        The gradient of `projected_query` [W, S, K], and the gradient of `w_score`, not yet summed over the slots
        [W, S, K].
    """
    if uses_triton(projected_regions):
        from san_core.cohort import fused

        return fused.attention_scores_backward_(grad_scores, projected_regions, projected_query, w_score, mask)
    members, _, regions, size = projected_regions.shape
    h, kept = _attention_hidden(projected_regions, projected_query, mask)
    grad_scores = grad_scores.to(h.dtype)
    grad_h = w_score.view(members, 1, 1, 1, size).expand_as(h)
    grad_h = grad_h if kept is None else grad_h * kept
    grad_pre_tanh = aten.tanh_backward(grad_h, h).mul_(grad_scores.view(*h.shape[:-1], 1))
    projected_regions.copy_(grad_pre_tanh.sum(dim=2))
    grad_w_score = torch.bmm(grad_scores.view(-1, 1, regions), h.flatten(0, 2))
    return grad_pre_tanh.sum(dim=3).flatten(1, 2), grad_w_score.view(members, -1, size)


def regions_backward_(
    grad_regions: Tensor, regions: Tensor, attentions: Sequence[Tensor], grad_contexts: Sequence[Tensor]
) -> Tensor:
    """Computes the gradient of the regions before their tanh [W, I R, H]. `grad_regions` may be overwritten with it.

    Args:
        grad_regions: the part of the regions' gradient that comes from W_I v of the hops [W, I R, H].
        regions: v = tanh(...) [W, I R, H].
        attentions: attention p of each hop [W, S, R].
        grad_contexts: gradient of each hop's context sum_i p_i v_i [W, S, H].
    """
    members, _, hidden = regions.shape
    slots, count = attentions[0].shape[1:]
    images = regions.shape[1] // count
    attention = torch.stack([each.view(members, images, -1, count) for each in attentions], dim=3).to(regions.dtype)
    grads = torch.stack([each.view(members, images, -1, hidden) for each in grad_contexts], dim=3)
    pairs = slots // images * len(attentions)
    attention = attention.view(members * images, pairs, count)
    grads = grads.view(members * images, pairs, hidden)
    if uses_triton(regions):
        from san_core.cohort import fused

        return fused.regions_backward_(grad_regions, regions, attention, grads)
    by_image = grad_regions.view(members * images, count, hidden).baddbmm_(attention.transpose(1, 2), grads)
    return aten.tanh_backward(by_image.view(regions.shape), regions)  # type: ignore[no-any-return]


class CellStates(NamedTuple):
    """The hidden and cell states of an LSTM, before the first step and after each step.

    Attributes:
        hidden, cell: the states [W, L + 1, S, H]; index 0 is before the first step, index t + 1 after step t.
    """

    hidden: Tensor
    cell: Tensor


def lstm_cell_(
    gates: Tensor, gates_from_hidden: Tensor | None, bias: Tensor, is_word: Tensor, states: CellStates, step: int
) -> None:
    """Computes one step of an LSTM: i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c').

    Before the first word of a question its gates and states are 0, as if the LSTM started with that word. `gates` is
    overwritten with the gates, and the states after the step are written into `states`.

    Args:
        gates: the part of the gates that comes from the word [W, S, 4 H], in the order i, f, g, o.
        gates_from_hidden: the part that comes from the hidden state [W, S, 4 H]; None in the first step.
        bias: bias of the gates [W, 4 H].
        is_word: whether the word belongs to the slot's question [S]; False for padding before the question.
        states: states of all steps.
        step: index of the step, >= 0.
    """
    if uses_triton(gates):
        from san_core.cohort import fused

        fused.lstm_cell_(gates, gates_from_hidden, bias, is_word, states, step)
        return
    total = gates + bias.unsqueeze(1)
    total = total if gates_from_hidden is None else total + gates_from_hidden
    input_gate, forget_gate, cell_gate, output_gate = total.chunk(4, dim=2)
    activated = torch.cat([input_gate.sigmoid(), forget_gate.sigmoid(), cell_gate.tanh(), output_gate.sigmoid()], dim=2)
    gates.copy_(activated * is_word.unsqueeze(1))
    input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4, dim=2)
    cell = forget_gate * states.cell[:, step] + input_gate * cell_gate
    states.cell[:, step + 1] = cell
    states.hidden[:, step + 1] = output_gate * cell.tanh()


def lstm_cell_backward_(gates: Tensor, grad_hidden: Tensor, grad_cell: Tensor, states: CellStates, step: int) -> None:
    """Computes the gradients of `lstm_cell_`.

    `gates` is overwritten with the gradient of the gates before sigmoid and tanh, and `grad_cell` with the gradient of
    the cell state before the step.

    Args:
        gates: gates of the step [W, S, 4 H].
        grad_hidden: gradient of the hidden state after the step [W, S, H].
        grad_cell: gradient of the cell state after the step [W, S, H].
        states: states of all steps.
        step: index of the step, >= 0.
    """
    if uses_triton(gates):
        from san_core.cohort import fused

        fused.lstm_cell_backward_(gates, grad_hidden, grad_cell, states, step)
        return
    input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4, dim=2)
    tanh_cell = states.cell[:, step + 1].tanh()
    total = grad_cell + aten.tanh_backward(grad_hidden * output_gate, tanh_cell)
    grad_cell.copy_(total * forget_gate)
    grads = [
        aten.sigmoid_backward(total * cell_gate, input_gate),
        aten.sigmoid_backward(total * states.cell[:, step], forget_gate),
        aten.tanh_backward(total * input_gate, cell_gate),
        aten.sigmoid_backward(grad_hidden * tanh_cell, output_gate),
    ]
    gates.copy_(torch.cat(grads, dim=2))


def one_hot(words: Tensor, vocabulary: int, dtype: torch.dtype) -> Tensor:
    """One-hot columns [V, T] of word numbers [T]. The column of padding is 0."""
    if uses_triton(words.new_empty(0, dtype=dtype)):
        from san_core.cohort import fused

        return fused.one_hot(words, vocabulary, dtype)
    numbers = torch.arange(vocabulary, device=words.device).unsqueeze(1)
    return ((numbers == words) & (words != PADDING)).to(dtype)
