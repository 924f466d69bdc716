"""The fused forms of `san_core.cohort.kernels`, for a GPU. Tile sizes are those that were fastest on an H100."""

from typing import TYPE_CHECKING

import torch
import triton
from torch import Tensor

from san_core.cohort import triton_kernels

if TYPE_CHECKING:
    from san_core.cohort.kernels import CellStates, Mask
    from san_core.cohort.optimizer import CohortRMSprop


def attention_scores(
    w_image_v: Tensor, w_query_u: Tensor, w_score: Tensor, b_score: Tensor, mask: "Mask | None"
) -> Tensor:
    """See `san_core.cohort.kernels.attention_scores`."""
    members, images, regions, size = w_image_v.shape
    slots = w_query_u.shape[1]
    scores = w_image_v.new_empty(members, slots, regions, dtype=torch.float32)
    width = triton.next_power_of_2(size)
    rows = max(1, min(8192 // width, triton.next_power_of_2(regions)))
    triton_kernels.scores_kernel[(members * slots, triton.cdiv(regions, rows))](
        w_image_v,
        w_query_u,
        w_score,
        b_score,
        *(mask or (w_image_v, w_image_v)),
        scores,
        slots,
        slots // images,
        regions,
        size,
        w_image_v.stride(1),
        w_image_v.stride(2),
        w_score.stride(0),
        b_score.stride(0),
        DROPS=mask is not None,
        ROWS=rows,
        SIZE=width,
        num_warps=8,
    )
    return scores


def attention_scores_backward(
    grad_scores: Tensor, w_image_v: Tensor, w_query_u: Tensor, w_score: Tensor, mask: "Mask | None"
) -> tuple[Tensor, Tensor]:
    """See `san_core.cohort.kernels.attention_scores_backward`."""
    members, images, regions, size = w_image_v.shape
    questions = w_query_u.shape[1] // images
    grad_w_query_u, grad_w_score = torch.empty_like(w_query_u), torch.empty_like(w_query_u)
    columns = min(64, triton.next_power_of_2(size))
    max_questions = triton.next_power_of_2(questions)
    rows = max(1, min(1024 // (columns * max_questions), triton.next_power_of_2(regions)))
    triton_kernels.scores_backward_kernel[(members * images, triton.cdiv(size, columns))](
        grad_scores,
        w_image_v,
        w_query_u,
        w_score,
        *(mask or (w_image_v, w_image_v)),
        grad_w_query_u,
        grad_w_score,
        images,
        questions,
        regions,
        size,
        w_image_v.stride(1),
        w_image_v.stride(2),
        w_score.stride(0),
        DROPS=mask is not None,
        ROWS=rows,
        COLUMNS=columns,
        QUESTIONS=max_questions,
        num_warps=4 if max_questions == 1 else 2,
    )
    return grad_w_query_u, grad_w_score


def regions_backward(grad_regions: Tensor, regions: Tensor, attention: Tensor, grads: Tensor) -> Tensor:
    """See `san_core.cohort.kernels.regions_backward`; `attention` [W I, Q N, R] and `grads` [W I, Q N, H] by image."""
    images, pairs, count = attention.shape
    hidden = regions.shape[2]
    rows, columns = min(16, triton.next_power_of_2(count)), min(256, triton.next_power_of_2(hidden))
    triton_kernels.regions_backward_kernel[(images, triton.cdiv(count, rows), triton.cdiv(hidden, columns))](
        grad_regions,
        regions,
        attention,
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
    triton_kernels.lstm_cell_kernel[(members * rows, triton.cdiv(size, columns))](
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
    triton_kernels.lstm_cell_backward_kernel[(members * rows, triton.cdiv(size, columns))](
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
    triton_kernels.one_hot_kernel[grid](words, found, vocabulary, len(words), ROWS=16, COLUMNS=256, num_warps=4)
    return found


def rmsprop(optimizer: "CohortRMSprop", grads: Tensor, scale: Tensor | None, active: Tensor) -> None:
    """The update of `san_core.cohort.optimizer.CohortRMSprop`, in place."""
    weights, working, hyper, decayed_from = optimizer.operands
    members, numbers = weights.shape
    block = 2048
    triton_kernels.rmsprop_kernel[(triton.cdiv(numbers, block), members)](
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
