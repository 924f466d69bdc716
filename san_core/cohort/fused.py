"""Launches the Triton kernels that do the work of `san_core.cohort.pointwise` on a GPU.

The tile sizes are the ones that were fastest on an H100.
"""

from typing import TYPE_CHECKING

import torch
import triton
from torch import Tensor

from san_core.cohort import triton_kernels

if TYPE_CHECKING:
    from san_core.cohort.optimizer import CohortRMSprop
    from san_core.cohort.pointwise import CellStates, Mask


def attention_scores(
    projected_regions: Tensor, projected_query: Tensor, w_score: Tensor, b_score: Tensor, mask: "Mask | None"
) -> Tensor:
    """See `san_core.cohort.pointwise.attention_scores`."""
    members, images, regions, size = projected_regions.shape
    slots = projected_query.shape[1]
    scores = projected_regions.new_empty(members, slots, regions, dtype=torch.float32)
    width = triton.next_power_of_2(size)
    rows = max(1, min(8192 // width, triton.next_power_of_2(regions)))
    triton_kernels.scores_kernel[(members * slots, triton.cdiv(regions, rows))](
        projected_regions,
        projected_query,
        w_score,
        b_score,
        *(mask or (projected_regions, projected_regions)),
        scores,
        slots,
        slots // images,
        regions,
        size,
        projected_regions.stride(1),
        projected_regions.stride(2),
        w_score.stride(0),
        b_score.stride(0),
        DROPS=mask is not None,
        ROWS=rows,
        SIZE=width,
        num_warps=8,
    )
    return scores


def attention_scores_backward_(
    grad_scores: Tensor, projected_regions: Tensor, projected_query: Tensor, w_score: Tensor, mask: "Mask | None"
) -> tuple[Tensor, Tensor]:
    """See `san_core.cohort.pointwise.attention_scores_backward_`."""
    members, images, regions, size = projected_regions.shape
    questions = projected_query.shape[1] // images
    grad_projected_query, grad_w_score = torch.empty_like(projected_query), torch.empty_like(projected_query)
    columns = min(64, triton.next_power_of_2(size))
    max_questions = triton.next_power_of_2(questions)
    rows = max(1, min(1024 // (columns * max_questions), triton.next_power_of_2(regions)))
    triton_kernels.scores_backward_kernel[(members * images, triton.cdiv(size, columns))](
        grad_scores,
        projected_regions,
        projected_query,
        w_score,
        *(mask or (projected_regions, projected_regions)),
        grad_projected_query,
        grad_w_score,
        images,
        questions,
        regions,
        size,
        projected_regions.stride(1),
        projected_regions.stride(2),
        w_score.stride(0),
        DROPS=mask is not None,
        ROWS=rows,
        COLUMNS=columns,
        QUESTIONS=max_questions,
        num_warps=4 if max_questions == 1 else 2,
    )
    return grad_projected_query, grad_w_score


def regions_backward_(grad_regions: Tensor, regions: Tensor, attention: Tensor, grads: Tensor) -> Tensor:
    """See `san_core.cohort.pointwise.regions_backward_`.

    Args:
        grad_regions: see there [W, I R, H].
        regions: see there [W, I R, H].
        attention: attention of each image's questions in all hops [W I, Q N, R].
        grads: gradients of the contexts of each image's questions in all hops [W I, Q N, H].
    """
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


def lstm_cell_(
    gates: Tensor, gates_from_hidden: Tensor | None, bias: Tensor, is_word: Tensor, states: "CellStates", step: int
) -> None:
    """See `san_core.cohort.pointwise.lstm_cell_`."""
    members, slots, _ = gates.shape
    size = states.hidden.shape[3]
    columns = min(512, triton.next_power_of_2(size))
    triton_kernels.lstm_cell_kernel[(members * slots, triton.cdiv(size, columns))](
        gates,
        gates if gates_from_hidden is None else gates_from_hidden,
        bias,
        is_word,
        states.hidden[:, step],
        states.cell[:, step],
        slots,
        size,
        gates.stride(0),
        states.cell.stride(0),
        states.cell.stride(1),
        HAS_HIDDEN=gates_from_hidden is not None,
        COLUMNS=columns,
        num_warps=max(1, columns // 128),
    )


def lstm_cell_backward_(gates: Tensor, grad_hidden: Tensor, grad_cell: Tensor, states: "CellStates", step: int) -> None:
    """See `san_core.cohort.pointwise.lstm_cell_backward_`."""
    members, slots, _ = gates.shape
    size = states.hidden.shape[3]
    columns = min(512, triton.next_power_of_2(size))
    triton_kernels.lstm_cell_backward_kernel[(members * slots, triton.cdiv(size, columns))](
        gates,
        grad_hidden,
        grad_cell,
        states.cell[:, step],
        slots,
        size,
        gates.stride(0),
        states.cell.stride(0),
        states.cell.stride(1),
        COLUMNS=columns,
        num_warps=max(1, columns // 128),
    )


def one_hot(words: Tensor, vocabulary: int, dtype: torch.dtype) -> Tensor:
    """See `san_core.cohort.pointwise.one_hot`."""
    columns = torch.empty(vocabulary, len(words), dtype=dtype, device=words.device)
    grid = triton.cdiv(vocabulary, 16), triton.cdiv(len(words), 256)
    triton_kernels.one_hot_kernel[grid](words, columns, vocabulary, len(words), ROWS=16, COLUMNS=256, num_warps=4)
    return columns


def rmsprop(optimizer: "CohortRMSprop", grads: Tensor, scale: Tensor | None, active: Tensor) -> None:
    """Updates the weights and the optimizer's state, see `san_core.cohort.optimizer.CohortRMSprop.step`."""
    weights, working, hyper, decayed_from = optimizer.operands
    members, row_length = weights.shape
    block = 2048
    triton_kernels.rmsprop_kernel[(triton.cdiv(row_length, block), members)](
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
        row_length,
        decayed_from,
        CLIPS=scale is not None,
        COPIES=working is not weights,
        BLOCK=block,
        num_warps=8,
    )
