# ruff: noqa: ANN001, ANN202, N803, PLR0913, PLR0915 - Triton has its own types, names of constants and long lists of operands
"""The fused forms of `san_core.cohort.kernels`, for a GPU: one pass over memory each, no atomics.

Sums are taken in a fixed order, so the same input gives the same bits. Arithmetic is float32.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, K attention, H hidden, P numbers of a row.
"""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from san_core.cohort.kernels import CellStates, Mask
    from san_core.cohort.optimizer import CohortRMSprop


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def _scores(
    mapped,
    about,
    w_score,
    b_score,
    random,
    levels,
    scores,
    slots,
    questions,
    regions,
    size,
    image_stride,
    region_stride,
    score_stride,
    bias_stride,
    DROPS: tl.constexpr,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
):
    """A program for `ROWS` regions of a slot."""
    pair = tl.program_id(0).to(tl.int64)
    member, slot = pair // slots, pair % slots
    image = member * (slots // questions) + slot // questions
    row, column = tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, SIZE)
    in_size = column < size
    inside = (row < regions)[:, None] & in_size[None, :]
    at = mapped + image * image_stride + row[:, None] * region_stride + column[None, :]
    x = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(about + pair * size + column, mask=in_size, other=0.0).to(tl.float32)[None, :]
    h = _tanh(x)
    if DROPS:
        drawn = tl.load(random + (slot * regions + row[:, None]) * size + column[None, :], mask=inside, other=0)
        h = tl.where(drawn.to(tl.int32) >= tl.load(levels + member), h, 0.0)
    weight = tl.load(w_score + member * score_stride + column, mask=in_size, other=0.0).to(tl.float32)
    score = tl.sum(h * weight[None, :], axis=1) + tl.load(b_score + member * bias_stride).to(tl.float32)
    tl.store(scores + pair * regions + row, score, mask=row < regions)


@triton.jit
def _scores_backward(
    grad_scores,
    mapped,
    about,
    w_score,
    random,
    levels,
    grad_about,
    grad_w_score,
    images,
    questions,
    regions,
    size,
    image_stride,
    region_stride,
    score_stride,
    DROPS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    QUESTIONS: tl.constexpr,
):
    """A program for `COLUMNS` of K of an image, all its regions and questions; the gradient replaces `mapped`."""
    image = tl.program_id(0).to(tl.int64)
    member, place = image // images, image % images
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    number = tl.arange(0, QUESTIONS)
    in_size, in_questions = column < size, number < questions
    weight = tl.load(w_score + member * score_stride + column, mask=in_size, other=0.0).to(tl.float32)
    each = (image * questions + number[:, None]) * size + column[None, :]
    used = in_questions[:, None] & in_size[None, :]
    by_query = tl.load(about + each, mask=used, other=0.0).to(tl.float32)
    of_about = tl.zeros([QUESTIONS, ROWS, COLUMNS], dtype=tl.float32)
    of_weight = tl.zeros([QUESTIONS, ROWS, COLUMNS], dtype=tl.float32)
    level = 0
    if DROPS:
        level = tl.load(levels + member)
    for first in range(0, regions, ROWS):
        row = first + tl.arange(0, ROWS)
        in_regions = row < regions
        inside = in_regions[:, None] & in_size[None, :]
        at = mapped + image * image_stride + row[:, None] * region_stride + column[None, :]
        x = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        h = _tanh(x[None, :, :] + by_query[:, None, :])
        of_slot = (image * questions + number[:, None]) * regions + row[None, :]
        known = in_questions[:, None] & in_regions[None, :]
        grad_score = tl.load(grad_scores + of_slot, mask=known, other=0.0).to(tl.float32)[:, :, None]
        grad = grad_score * weight[None, None, :] * (1 - h * h)
        if DROPS:
            there = (place * questions + number[:, None, None]) * regions + row[None, :, None]
            drawn = tl.load(
                random + there * size + column[None, None, :], mask=known[:, :, None] & in_size[None, None, :], other=0
            )
            kept = drawn.to(tl.int32) >= level
            grad = tl.where(kept, grad, 0.0)
            h = tl.where(kept, h, 0.0)
        of_about += grad
        of_weight += grad_score * h
        tl.store(at, tl.sum(grad, axis=0).to(mapped.dtype.element_ty), mask=inside)
    tl.store(grad_about + each, tl.sum(of_about, axis=1).to(grad_about.dtype.element_ty), mask=used)
    tl.store(grad_w_score + each, tl.sum(of_weight, axis=1).to(grad_w_score.dtype.element_ty), mask=used)


@triton.jit
def _regions_backward(
    grad_regions,
    regions,
    looks,
    grads,
    count,
    hidden,
    PAIRS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A program for a tile of an image's regions; the result replaces `grad_regions`."""
    image = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < count)[:, None] & (column < hidden)[None, :]
    at = (image * count + row[:, None]) * hidden + column[None, :]
    total = tl.load(grad_regions + at, mask=inside, other=0.0).to(tl.float32)
    for pair in range(PAIRS):
        look = tl.load(looks + (image * PAIRS + pair) * count + row, mask=row < count, other=0.0).to(tl.float32)
        grad = tl.load(grads + (image * PAIRS + pair) * hidden + column, mask=column < hidden, other=0.0)
        total += look[:, None] * grad.to(tl.float32)[None, :]
    value = tl.load(regions + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(grad_regions + at, (total * (1 - value * value)).to(grad_regions.dtype.element_ty), mask=inside)


@triton.jit
def _lstm_cell(
    gates,
    by_hidden,
    bias,
    real,
    hidden,
    cell,
    rows,
    size,
    gate_stride,
    state_stride,
    next_state,
    HAS_HIDDEN: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A program for `COLUMNS` of H of a row."""
    pair = tl.program_id(0).to(tl.int64)
    member, row = pair // rows, pair % rows
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < size
    gate = gates + member * gate_stride + row * 4 * size + column
    own_bias = bias + member * 4 * size + column
    state = member * state_stride + row * size + column
    i = tl.load(gate, mask=inside, other=0.0).to(tl.float32) + tl.load(own_bias, mask=inside, other=0.0).to(tl.float32)
    f = tl.load(gate + size, mask=inside, other=0.0).to(tl.float32)
    f += tl.load(own_bias + size, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + 2 * size, mask=inside, other=0.0).to(tl.float32)
    g += tl.load(own_bias + 2 * size, mask=inside, other=0.0).to(tl.float32)
    o = tl.load(gate + 3 * size, mask=inside, other=0.0).to(tl.float32)
    o += tl.load(own_bias + 3 * size, mask=inside, other=0.0).to(tl.float32)
    if HAS_HIDDEN:
        more = by_hidden + pair * 4 * size + column
        i += tl.load(more, mask=inside, other=0.0).to(tl.float32)
        f += tl.load(more + size, mask=inside, other=0.0).to(tl.float32)
        g += tl.load(more + 2 * size, mask=inside, other=0.0).to(tl.float32)
        o += tl.load(more + 3 * size, mask=inside, other=0.0).to(tl.float32)
    here = tl.where(tl.load(real + row) != 0, 1.0, 0.0)
    i, f, g, o = tl.sigmoid(i) * here, tl.sigmoid(f) * here, _tanh(g) * here, tl.sigmoid(o) * here
    kind = gates.dtype.element_ty
    before = tl.load(cell + state, mask=inside, other=0.0).to(tl.float32)
    after = f * before + i * g
    tl.store(gate, i.to(kind), mask=inside)
    tl.store(gate + size, f.to(kind), mask=inside)
    tl.store(gate + 2 * size, g.to(kind), mask=inside)
    tl.store(gate + 3 * size, o.to(kind), mask=inside)
    tl.store(cell + state + next_state, after.to(kind), mask=inside)
    tl.store(hidden + state + next_state, (o * _tanh(after)).to(kind), mask=inside)


@triton.jit
def _lstm_cell_backward(
    gates,
    grad_hidden,
    grad_cell,
    cell,
    rows,
    size,
    gate_stride,
    state_stride,
    next_state,
    COLUMNS: tl.constexpr,
):
    """A program for `COLUMNS` of H of a row."""
    pair = tl.program_id(0).to(tl.int64)
    member, row = pair // rows, pair % rows
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < size
    gate = gates + member * gate_stride + row * 4 * size + column
    state = member * state_stride + row * size + column
    i = tl.load(gate, mask=inside, other=0.0).to(tl.float32)
    f = tl.load(gate + size, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + 2 * size, mask=inside, other=0.0).to(tl.float32)
    o = tl.load(gate + 3 * size, mask=inside, other=0.0).to(tl.float32)
    before = tl.load(cell + state, mask=inside, other=0.0).to(tl.float32)
    after = _tanh(tl.load(cell + state + next_state, mask=inside, other=0.0).to(tl.float32))
    grad_h = tl.load(grad_hidden + pair * size + column, mask=inside, other=0.0).to(tl.float32)
    grad_c = tl.load(grad_cell + pair * size + column, mask=inside, other=0.0).to(tl.float32)
    grad_c += grad_h * o * (1 - after * after)
    kind = gates.dtype.element_ty
    tl.store(gate, (grad_c * g * i * (1 - i)).to(kind), mask=inside)
    tl.store(gate + size, (grad_c * before * f * (1 - f)).to(kind), mask=inside)
    tl.store(gate + 2 * size, (grad_c * i * (1 - g * g)).to(kind), mask=inside)
    tl.store(gate + 3 * size, (grad_h * after * o * (1 - o)).to(kind), mask=inside)
    tl.store(grad_cell + pair * size + column, (grad_c * f).to(kind), mask=inside)


@triton.jit
def _one_hot(words, found, vocabulary, count, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A program for a tile of words by places."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    word = tl.load(words + column, mask=column < count, other=0)
    same = (row[:, None] == word[None, :]) & (word != 0)[None, :]
    at = found + row[:, None].to(tl.int64) * count + column[None, :]
    value = tl.where(same, 1.0, 0.0).to(found.dtype.element_ty)
    tl.store(at, value, mask=(row < vocabulary)[:, None] & (column < count)[None, :])


@triton.jit
def _rmsprop(
    weights,
    working,
    grads,
    square_avg,
    momentum_buffer,
    learning_rate,
    momentum,
    alpha,
    eps,
    weight_decay,
    scale,
    active,
    numbers,
    decayed_from,
    CLIPS: tl.constexpr,
    COPIES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program for `BLOCK` weights of a member."""
    member = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = (at < numbers) & (tl.load(active + member) != 0)
    here = member * numbers + at
    weight = tl.load(weights + here, mask=inside, other=0.0)
    grad = tl.load(grads + here, mask=inside, other=0.0).to(tl.float32)
    if CLIPS:
        grad *= tl.load(scale + member)
    grad += tl.where(at >= decayed_from, weight * tl.load(weight_decay + member), 0.0)
    decay = tl.load(alpha + member)
    average = tl.load(square_avg + here, mask=inside, other=0.0) * decay + grad * grad * (1 - decay)
    buffer = tl.load(momentum_buffer + here, mask=inside, other=0.0) * tl.load(momentum + member)
    buffer += grad / (tl.sqrt(average) + tl.load(eps + member))
    weight -= tl.load(learning_rate + member) * buffer
    tl.store(square_avg + here, average, mask=inside)
    tl.store(momentum_buffer + here, buffer, mask=inside)
    tl.store(weights + here, weight, mask=inside)
    if COPIES:
        tl.store(working + here, weight.to(working.dtype.element_ty), mask=inside)


def attention_scores(mapped: Tensor, about: Tensor, w_score: Tensor, b_score: Tensor, mask: "Mask | None") -> Tensor:
    """See `san_core.cohort.kernels.attention_scores`."""
    members, images, regions, size = mapped.shape
    slots = about.shape[1]
    scores = mapped.new_empty(members, slots, regions, dtype=torch.float32)
    width = triton.next_power_of_2(size)
    rows = max(1, min(8192 // width, triton.next_power_of_2(regions)))
    _scores[(members * slots, triton.cdiv(regions, rows))](
        mapped,
        about,
        w_score,
        b_score,
        *(mask or (mapped, mapped)),
        scores,
        slots,
        slots // images,
        regions,
        size,
        mapped.stride(1),
        mapped.stride(2),
        w_score.stride(0),
        b_score.stride(0),
        DROPS=mask is not None,
        ROWS=rows,
        SIZE=width,
        num_warps=8,
    )
    return scores


def attention_scores_backward(
    grad_scores: Tensor, mapped: Tensor, about: Tensor, w_score: Tensor, mask: "Mask | None"
) -> tuple[Tensor, Tensor]:
    """See `san_core.cohort.kernels.attention_scores_backward`."""
    members, images, regions, size = mapped.shape
    questions = about.shape[1] // images
    grad_about, grad_w_score = torch.empty_like(about), torch.empty_like(about)
    columns = min(64, triton.next_power_of_2(size))
    together = triton.next_power_of_2(questions)
    rows = max(1, min(1024 // (columns * together), triton.next_power_of_2(regions)))
    _scores_backward[(members * images, triton.cdiv(size, columns))](
        grad_scores,
        mapped,
        about,
        w_score,
        *(mask or (mapped, mapped)),
        grad_about,
        grad_w_score,
        images,
        questions,
        regions,
        size,
        mapped.stride(1),
        mapped.stride(2),
        w_score.stride(0),
        DROPS=mask is not None,
        ROWS=rows,
        COLUMNS=columns,
        QUESTIONS=together,
        num_warps=4 if together == 1 else 2,
    )
    return grad_about, grad_w_score


def regions_backward(grad_regions: Tensor, regions: Tensor, looks: Tensor, grads: Tensor) -> Tensor:
    """See `san_core.cohort.kernels.regions_backward`; `looks` [W I, Q N, R] and `grads` [W I, Q N, H] by image."""
    images, pairs, count = looks.shape
    hidden = regions.shape[2]
    rows, columns = min(16, triton.next_power_of_2(count)), min(256, triton.next_power_of_2(hidden))
    _regions_backward[(images, triton.cdiv(count, rows), triton.cdiv(hidden, columns))](
        grad_regions,
        regions,
        looks,
        grads,
        count,
        hidden,
        PAIRS=pairs,
        ROWS=rows,
        COLUMNS=columns,
        num_warps=4,
    )
    return grad_regions


def lstm_cell(
    gates: Tensor, by_hidden: Tensor | None, bias: Tensor, real: Tensor, states: "CellStates", step: int
) -> None:
    """See `san_core.cohort.kernels.lstm_cell`."""
    members, rows, _ = gates.shape
    size = states.hidden.shape[3]
    columns = min(512, triton.next_power_of_2(size))
    _lstm_cell[(members * rows, triton.cdiv(size, columns))](
        gates,
        gates if by_hidden is None else by_hidden,
        bias,
        real,
        states.hidden[:, step],
        states.cell[:, step],
        rows,
        size,
        gates.stride(0),
        states.cell.stride(0),
        states.cell.stride(1),
        HAS_HIDDEN=by_hidden is not None,
        COLUMNS=columns,
        num_warps=max(1, columns // 128),
    )


def lstm_cell_backward(gates: Tensor, grad_hidden: Tensor, grad_cell: Tensor, states: "CellStates", step: int) -> None:
    """See `san_core.cohort.kernels.lstm_cell_backward`."""
    members, rows, _ = gates.shape
    size = states.hidden.shape[3]
    columns = min(512, triton.next_power_of_2(size))
    _lstm_cell_backward[(members * rows, triton.cdiv(size, columns))](
        gates,
        grad_hidden,
        grad_cell,
        states.cell[:, step],
        rows,
        size,
        gates.stride(0),
        states.cell.stride(0),
        states.cell.stride(1),
        COLUMNS=columns,
        num_warps=max(1, columns // 128),
    )


def one_hot(words: Tensor, vocabulary: int, dtype: torch.dtype) -> Tensor:
    """See `san_core.cohort.kernels.one_hot`."""
    found = torch.empty(vocabulary, len(words), dtype=dtype, device=words.device)
    grid = triton.cdiv(vocabulary, 16), triton.cdiv(len(words), 256)
    _one_hot[grid](words, found, vocabulary, len(words), ROWS=16, COLUMNS=256, num_warps=4)
    return found


def rmsprop(optimizer: "CohortRMSprop", grads: Tensor, scale: Tensor | None, active: Tensor) -> None:
    """The update of `san_core.cohort.optimizer.CohortRMSprop`, in place."""
    weights, working, hyper, decayed_from = optimizer.operands
    members, numbers = weights.shape
    block = 2048
    _rmsprop[(triton.cdiv(numbers, block), members)](
        weights,
        working,
        grads,
        optimizer.square_avg,
        optimizer.momentum_buffer,
        hyper.learning_rate,
        hyper.momentum,
        hyper.alpha,
        hyper.eps,
        hyper.weight_decay,
        scale if scale is not None else weights,
        active,
        numbers,
        decayed_from,
        CLIPS=scale is not None,
        COPIES=working is not weights,
        BLOCK=block,
        num_warps=8,
    )
