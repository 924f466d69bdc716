"""The pointwise parts of a step, where memory and not arithmetic is the limit: in plain PyTorch, or fused on a GPU.

Each function has one meaning, written out in plain operations here; on a GPU with Triton the functions of
`san_core.cohort.fused` do the same in one pass.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, K attention, H hidden, V vocabulary.
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
    """Whether Triton is here, and what it compiles its launchers with: a C compiler and Python's headers."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("gcc", "clang", "cc")), None)
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return importlib.util.find_spec("triton") is not None and compiler is not None and headers.is_file()


def uses_triton(tensor: Tensor) -> bool:
    """Whether the fused kernels work on a tensor."""
    return _fused and tensor.is_cuda and tensor.dtype in {torch.bfloat16, torch.float32} and has_triton()


@contextmanager
def plain_operations() -> Iterator[None]:
    """Leaves the fused kernels out, to compare with."""
    global _fused  # noqa: PLW0603 - one switch for the process
    before, _fused = _fused, False
    try:
        yield
    finally:
        _fused = before


class Mask(NamedTuple):
    """What dropout drops of a hop's h: where a random byte lies below the member's threshold.

    Attributes:
        random: bytes [I, Q, R, K] (uint8).
        thresholds: of the members [W] (int32).
    """

    random: Tensor
    thresholds: Tensor


def _attention_hidden(
    projected_regions: Tensor, projected_query: Tensor, mask: Mask | None
) -> tuple[Tensor, Tensor | None]:
    """Works out h = dropout(tanh(W_I v + (W_Q u + b_A))) [W, I, Q, R, K], and what of it is kept."""
    members, images, _, size = projected_regions.shape
    h = (projected_regions.unsqueeze(2) + projected_query.view(members, images, -1, 1, size)).tanh_()
    if mask is None:
        return h, None
    kept = mask.random >= mask.thresholds.view(-1, 1, 1, 1, 1)
    return h.mul_(kept), kept


def attention_scores(
    projected_regions: Tensor, projected_query: Tensor, w_score: Tensor, b_score: Tensor, mask: Mask | None
) -> Tensor:
    """The scores W_P h + b_P of a hop's regions, h = dropout(tanh(W_I v + (W_Q u + b_A))) (paper, section 3.3).

    Args:
        projected_regions: W_I v [W, I, R, K].
        projected_query: W_Q u + b_A [W, S, K].
        w_score: W_P, dropout's scale included [W, K].
        b_score: b_P [W].
        mask: of dropout; None without.

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
    """Gradients of `attention_scores`, from those of the scores. In place: `projected_regions` becomes its gradient.

    Args:
        grad_scores: [W, S, R].
        projected_regions: as given to `attention_scores`; its gradient, the sum over an
            image's questions in order, takes its place.
        projected_query: as given to `attention_scores`.
        w_score: as given to `attention_scores`.
        mask: as given to `attention_scores`.

    Returns:
        Gradients of `projected_query` [W, S, K], and of `w_score` by slot [W, S, K].
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
    """Gradient of the regions before their tanh [W, I R, H]. In place: it may take the place of `grad_regions`.

    Args:
        grad_regions: what comes from W_I v of the hops [W, I R, H]; it may be overwritten.
        regions: v = tanh(...) [W, I R, H].
        attentions: p of each hop [W, S, R].
        grad_contexts: gradient of each hop's sum_i p_i v_i [W, S, H].
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
    """Hidden and cell states of an LSTM, before the first step and after each.

    Attributes:
        hidden, cell: [W, L + 1, S, H].
    """

    hidden: Tensor
    cell: Tensor


def lstm_cell_(
    gates: Tensor, gates_from_hidden: Tensor | None, bias: Tensor, is_word: Tensor, states: CellStates, step: int
) -> None:
    """One step of an LSTM: i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c'). In place.

    A word that is not is_word belongs to no question yet: its gates are 0, and so are the states after it.

    Args:
        gates: what the word adds to the gates [W, S, 4 H], in the order i, f, g, o; the gates take its place.
        gates_from_hidden: what the hidden state adds [W, S, 4 H]; None in the first step.
        bias: of the gates [W, 4 H].
        is_word: whether the word belongs to a question [S].
        states: of which those after the step are written.
        step: counted from 0.
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
    """Gradients of a step of an LSTM. In place: `gates` and `grad_cell` become gradients.

    Args:
        gates: of the step [W, S, 4 H]; the gradient before sigmoid and tanh takes their place.
        grad_hidden: of the hidden state after the step [W, S, H].
        grad_cell: of the cell state after the step [W, S, H]; that of the state before takes its place.
        states: of all steps.
        step: counted from 0.
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
    """Word numbers [T] as columns [V, T]: 1 in the word's row, 0 elsewhere; padding has none."""
    if uses_triton(words.new_empty(0, dtype=dtype)):
        from san_core.cohort import fused

        return fused.one_hot(words, vocabulary, dtype)
    numbers = torch.arange(vocabulary, device=words.device).unsqueeze(1)
    return ((numbers == words) & (words != PADDING)).to(dtype)
