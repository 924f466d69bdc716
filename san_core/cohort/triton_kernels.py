"""The Triton kernels of a step. `san_core.cohort.fused` launches them.

The plain code in `san_core.cohort.pointwise` says what they compute. Each kernel makes one pass over memory. Sums are
in a fixed order, without atomics, so the same input gives the same bits. Arithmetic is in float32.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, K attention, H hidden, P row length, V
vocabulary.
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
    """`attention_scores`. A program computes `ROWS` regions of one slot."""
    pair = tl.program_id(0).to(tl.int64)
    member, slot = pair // slots, pair % slots
    image = member * (slots // questions) + slot // questions
    row, column = tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, SIZE)
    in_size = column < size
    inside = (row < regions)[:, None] & in_size[None, :]
    pointers = projected_regions + image * image_stride + row[:, None] * region_stride + column[None, :]
    x = tl.load(pointers, mask=inside, other=0.0).to(tl.float32)
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
    """`attention_scores_backward_`. A program computes `COLUMNS` of K, for all regions and questions of one image."""
    image = tl.program_id(0).to(tl.int64)
    member, place = image // images, image % images
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    number = tl.arange(0, QUESTIONS)
    in_size, in_questions = column < size, number < questions
    weight = tl.load(w_score + member * score_stride + column, mask=in_size, other=0.0).to(tl.float32)
    slot_offset = (image * questions + number[:, None]) * size + column[None, :]
    valid = in_questions[:, None] & in_size[None, :]
    query_part = tl.load(projected_query + slot_offset, mask=valid, other=0.0).to(tl.float32)
    sum_grad_projected_query = tl.zeros([QUESTIONS, ROWS, COLUMNS], dtype=tl.float32)
    sum_grad_w_score = tl.zeros([QUESTIONS, ROWS, COLUMNS], dtype=tl.float32)
    threshold = 0
    if DROPS:
        threshold = tl.load(thresholds + member)
    for first in range(0, regions, ROWS):
        row = first + tl.arange(0, ROWS)
        in_regions = row < regions
        inside = in_regions[:, None] & in_size[None, :]
        pointers = projected_regions + image * image_stride + row[:, None] * region_stride + column[None, :]
        x = tl.load(pointers, mask=inside, other=0.0).to(tl.float32)
        h = _tanh(x[None, :, :] + query_part[:, None, :])
        score_offset = (image * questions + number[:, None]) * regions + row[None, :]
        valid_scores = in_questions[:, None] & in_regions[None, :]
        grad_score = tl.load(grad_scores + score_offset, mask=valid_scores, other=0.0).to(tl.float32)[:, :, None]
        grad = grad_score * weight[None, None, :] * (1 - h * h)
        if DROPS:
            byte_offset = (place * questions + number[:, None, None]) * regions + row[None, :, None]
            random_byte = tl.load(
                random + byte_offset * size + column[None, None, :],
                mask=valid_scores[:, :, None] & in_size[None, None, :],
                other=0,
            )
            kept = random_byte.to(tl.int32) >= threshold
            grad = tl.where(kept, grad, 0.0)
            h = tl.where(kept, h, 0.0)
        sum_grad_projected_query += grad
        sum_grad_w_score += grad_score * h
        tl.store(pointers, tl.sum(grad, axis=0).to(projected_regions.dtype.element_ty), mask=inside)
    tl.store(
        grad_projected_query + slot_offset,
        tl.sum(sum_grad_projected_query, axis=1).to(grad_projected_query.dtype.element_ty),
        mask=valid,
    )
    tl.store(grad_w_score + slot_offset, tl.sum(sum_grad_w_score, axis=1).to(grad_w_score.dtype.element_ty), mask=valid)


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
    """`regions_backward_`. A program computes `ROWS` regions by `COLUMNS` of H of one image."""
    image = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < count)[:, None] & (column < hidden)[None, :]
    offset = (image * count + row[:, None]) * hidden + column[None, :]
    total = tl.load(grad_regions + offset, mask=inside, other=0.0).to(tl.float32)
    for pair in range(PAIRS):
        weight = tl.load(attention + (image * PAIRS + pair) * count + row, mask=row < count, other=0.0).to(tl.float32)
        grad = tl.load(grads + (image * PAIRS + pair) * hidden + column, mask=column < hidden, other=0.0)
        total += weight[:, None] * grad.to(tl.float32)[None, :]
    value = tl.load(regions + offset, mask=inside, other=0.0).to(tl.float32)
    tl.store(grad_regions + offset, (total * (1 - value * value)).to(grad_regions.dtype.element_ty), mask=inside)


@triton.jit
def lstm_cell_kernel(
    gates,
    gates_from_hidden,
    bias,
    is_word,
    hidden,
    cell,
    slots,
    size,
    gate_stride,
    state_stride,
    next_state,
    HAS_HIDDEN: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """`lstm_cell_`. A program computes `COLUMNS` of H of one slot."""
    pair = tl.program_id(0).to(tl.int64)
    member, slot = pair // slots, pair % slots
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < size
    gate = gates + member * gate_stride + slot * 4 * size + column
    member_bias = bias + member * 4 * size + column
    state = member * state_stride + slot * size + column
    i = tl.load(gate, mask=inside, other=0.0).to(tl.float32)
    i += tl.load(member_bias, mask=inside, other=0.0).to(tl.float32)
    f = tl.load(gate + size, mask=inside, other=0.0).to(tl.float32)
    f += tl.load(member_bias + size, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + 2 * size, mask=inside, other=0.0).to(tl.float32)
    g += tl.load(member_bias + 2 * size, mask=inside, other=0.0).to(tl.float32)
    o = tl.load(gate + 3 * size, mask=inside, other=0.0).to(tl.float32)
    o += tl.load(member_bias + 3 * size, mask=inside, other=0.0).to(tl.float32)
    if HAS_HIDDEN:
        hidden_part = gates_from_hidden + pair * 4 * size + column
        i += tl.load(hidden_part, mask=inside, other=0.0).to(tl.float32)
        f += tl.load(hidden_part + size, mask=inside, other=0.0).to(tl.float32)
        g += tl.load(hidden_part + 2 * size, mask=inside, other=0.0).to(tl.float32)
        o += tl.load(hidden_part + 3 * size, mask=inside, other=0.0).to(tl.float32)
    word_mask = tl.where(tl.load(is_word + slot) != 0, 1.0, 0.0)
    i, f, g, o = tl.sigmoid(i) * word_mask, tl.sigmoid(f) * word_mask, _tanh(g) * word_mask, tl.sigmoid(o) * word_mask
    dtype = gates.dtype.element_ty
    before = tl.load(cell + state, mask=inside, other=0.0).to(tl.float32)
    after = f * before + i * g
    tl.store(gate, i.to(dtype), mask=inside)
    tl.store(gate + size, f.to(dtype), mask=inside)
    tl.store(gate + 2 * size, g.to(dtype), mask=inside)
    tl.store(gate + 3 * size, o.to(dtype), mask=inside)
    tl.store(cell + state + next_state, after.to(dtype), mask=inside)
    tl.store(hidden + state + next_state, (o * _tanh(after)).to(dtype), mask=inside)


@triton.jit
def lstm_cell_backward_kernel(
    gates,
    grad_hidden,
    grad_cell,
    cell,
    slots,
    size,
    gate_stride,
    state_stride,
    next_state,
    COLUMNS: tl.constexpr,
):
    """`lstm_cell_backward_`. A program computes `COLUMNS` of H of one slot."""
    pair = tl.program_id(0).to(tl.int64)
    member, slot = pair // slots, pair % slots
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < size
    gate = gates + member * gate_stride + slot * 4 * size + column
    state = member * state_stride + slot * size + column
    i = tl.load(gate, mask=inside, other=0.0).to(tl.float32)
    f = tl.load(gate + size, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + 2 * size, mask=inside, other=0.0).to(tl.float32)
    o = tl.load(gate + 3 * size, mask=inside, other=0.0).to(tl.float32)
    before = tl.load(cell + state, mask=inside, other=0.0).to(tl.float32)
    after = _tanh(tl.load(cell + state + next_state, mask=inside, other=0.0).to(tl.float32))
    grad_h = tl.load(grad_hidden + pair * size + column, mask=inside, other=0.0).to(tl.float32)
    grad_c = tl.load(grad_cell + pair * size + column, mask=inside, other=0.0).to(tl.float32)
    grad_c += grad_h * o * (1 - after * after)
    dtype = gates.dtype.element_ty
    tl.store(gate, (grad_c * g * i * (1 - i)).to(dtype), mask=inside)
    tl.store(gate + size, (grad_c * before * f * (1 - f)).to(dtype), mask=inside)
    tl.store(gate + 2 * size, (grad_c * i * (1 - g * g)).to(dtype), mask=inside)
    tl.store(gate + 3 * size, (grad_h * after * o * (1 - o)).to(dtype), mask=inside)
    tl.store(grad_cell + pair * size + column, (grad_c * f).to(dtype), mask=inside)


@triton.jit
def one_hot_kernel(words, columns_out, vocabulary, count, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """`one_hot`. A program computes `ROWS` of V by `COLUMNS` of the words."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    word = tl.load(words + column, mask=column < count, other=0)
    same = (row[:, None] == word[None, :]) & (word != 0)[None, :]
    pointers = columns_out + row[:, None].to(tl.int64) * count + column[None, :]
    value = tl.where(same, 1.0, 0.0).to(columns_out.dtype.element_ty)
    tl.store(pointers, value, mask=(row < vocabulary)[:, None] & (column < count)[None, :])


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
    row_length,
    decayed_from,
    CLIPS: tl.constexpr,
    COPIES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """`CohortRMSprop.step`. A program updates `BLOCK` weights of one member."""
    member = tl.program_id(1).to(tl.int64)
    offset = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = (offset < row_length) & (tl.load(active + member) != 0)
    index = member * row_length + offset
    weight = tl.load(weights + index, mask=inside, other=0.0)
    grad = tl.load(grads + index, mask=inside, other=0.0).to(tl.float32)
    if CLIPS:
        grad *= tl.load(scale + member)
    grad += tl.where(offset >= decayed_from, weight * tl.load(weight_decay + member), 0.0)
    decay = tl.load(alpha + member)
    average = tl.load(square_avg + index, mask=inside, other=0.0) * decay + grad * grad * (1 - decay)
    buffer = tl.load(momentum_buffer + index, mask=inside, other=0.0) * tl.load(momentum + member)
    buffer += grad / (tl.sqrt(average) + tl.load(eps + member))
    weight -= tl.load(learning_rate + member) * buffer
    tl.store(square_avg + index, average, mask=inside)
    tl.store(momentum_buffer + index, buffer, mask=inside)
    tl.store(weights + index, weight, mask=inside)
    if COPIES:
        tl.store(working + index, weight.to(working.dtype.element_ty), mask=inside)
