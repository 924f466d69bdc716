"""Triton kernels of a step: one pass over memory each, no atomics. `san_core.cohort.fused` launches them.

Sums are taken in a fixed order, so the same input gives the same bits. Arithmetic is float32.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, K attention, H hidden, P numbers of a
row.
"""

import triton
import triton.language as tl


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def scores_kernel(
    projected_regions,
    projected_query,
    w_score,
    b_score,
    random,
    thresholds,
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
    at = projected_regions + image * image_stride + row[:, None] * region_stride + column[None, :]
    x = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(projected_query + pair * size + column, mask=in_size, other=0.0).to(tl.float32)[None, :]
    h = _tanh(x)
    if DROPS:
        random_byte = tl.load(random + (slot * regions + row[:, None]) * size + column[None, :], mask=inside, other=0)
        h = tl.where(random_byte.to(tl.int32) >= tl.load(thresholds + member), h, 0.0)
    weight = tl.load(w_score + member * score_stride + column, mask=in_size, other=0.0).to(tl.float32)
    score = tl.sum(h * weight[None, :], axis=1) + tl.load(b_score + member * bias_stride).to(tl.float32)
    tl.store(scores + pair * regions + row, score, mask=row < regions)


@triton.jit
def scores_backward_kernel(
    grad_scores,
    projected_regions,
    projected_query,
    w_score,
    random,
    thresholds,
    grad_projected_query,
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
    """A program for `COLUMNS` of K of an image, all its regions and questions. In place."""
    image = tl.program_id(0).to(tl.int64)
    member, place = image // images, image % images
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    number = tl.arange(0, QUESTIONS)
    in_size, in_questions = column < size, number < questions
    weight = tl.load(w_score + member * score_stride + column, mask=in_size, other=0.0).to(tl.float32)
    slot_at = (image * questions + number[:, None]) * size + column[None, :]
    valid = in_questions[:, None] & in_size[None, :]
    query_part = tl.load(projected_query + slot_at, mask=valid, other=0.0).to(tl.float32)
    sum_grad_projected_query = tl.zeros([QUESTIONS, ROWS, COLUMNS], dtype=tl.float32)
    sum_grad_w_score = tl.zeros([QUESTIONS, ROWS, COLUMNS], dtype=tl.float32)
    threshold = 0
    if DROPS:
        threshold = tl.load(thresholds + member)
    for first in range(0, regions, ROWS):
        row = first + tl.arange(0, ROWS)
        in_regions = row < regions
        inside = in_regions[:, None] & in_size[None, :]
        at = projected_regions + image * image_stride + row[:, None] * region_stride + column[None, :]
        x = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        h = _tanh(x[None, :, :] + query_part[:, None, :])
        score_at = (image * questions + number[:, None]) * regions + row[None, :]
        valid_scores = in_questions[:, None] & in_regions[None, :]
        grad_score = tl.load(grad_scores + score_at, mask=valid_scores, other=0.0).to(tl.float32)[:, :, None]
        grad = grad_score * weight[None, None, :] * (1 - h * h)
        if DROPS:
            byte_at = (place * questions + number[:, None, None]) * regions + row[None, :, None]
            random_byte = tl.load(
                random + byte_at * size + column[None, None, :],
                mask=valid_scores[:, :, None] & in_size[None, None, :],
                other=0,
            )
            kept = random_byte.to(tl.int32) >= threshold
            grad = tl.where(kept, grad, 0.0)
            h = tl.where(kept, h, 0.0)
        sum_grad_projected_query += grad
        sum_grad_w_score += grad_score * h
        tl.store(at, tl.sum(grad, axis=0).to(projected_regions.dtype.element_ty), mask=inside)
    tl.store(
        grad_projected_query + slot_at,
        tl.sum(sum_grad_projected_query, axis=1).to(grad_projected_query.dtype.element_ty),
        mask=valid,
    )
    tl.store(grad_w_score + slot_at, tl.sum(sum_grad_w_score, axis=1).to(grad_w_score.dtype.element_ty), mask=valid)


@triton.jit
def regions_backward_kernel(
    grad_regions,
    regions,
    attention,
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
        weight = tl.load(attention + (image * PAIRS + pair) * count + row, mask=row < count, other=0.0).to(tl.float32)
        grad = tl.load(grads + (image * PAIRS + pair) * hidden + column, mask=column < hidden, other=0.0)
        total += weight[:, None] * grad.to(tl.float32)[None, :]
    value = tl.load(regions + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(grad_regions + at, (total * (1 - value * value)).to(grad_regions.dtype.element_ty), mask=inside)


@triton.jit
def lstm_cell_kernel(
    gates,
    gates_from_hidden,
    bias,
    is_word,
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
        more = gates_from_hidden + pair * 4 * size + column
        i += tl.load(more, mask=inside, other=0.0).to(tl.float32)
        f += tl.load(more + size, mask=inside, other=0.0).to(tl.float32)
        g += tl.load(more + 2 * size, mask=inside, other=0.0).to(tl.float32)
        o += tl.load(more + 3 * size, mask=inside, other=0.0).to(tl.float32)
    here = tl.where(tl.load(is_word + row) != 0, 1.0, 0.0)
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
def lstm_cell_backward_kernel(
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
def one_hot_kernel(words, found, vocabulary, count, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A program for a tile of words by places."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    word = tl.load(words + column, mask=column < count, other=0)
    same = (row[:, None] == word[None, :]) & (word != 0)[None, :]
    at = found + row[:, None].to(tl.int64) * count + column[None, :]
    value = tl.where(same, 1.0, 0.0).to(found.dtype.element_ty)
    tl.store(at, value, mask=(row < vocabulary)[:, None] & (column < count)[None, :])


@triton.jit
def rmsprop_kernel(
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
