"""The attention hops and their gradients, worked out by hand.

A step reads and writes the regions' tensors far longer than it would need to multiply them. So tanh and dropout
happen in place, W_I v of all hops is one product, and the regions' gradient is added up where it lies.

Shapes: I images, B questions, R regions, H hidden, K attention, N hops.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from san_core.models.activations import tanh_

aten = torch.ops.aten


class Plan(NamedTuple):
    """What hops do besides multiplying by weights.

    Attributes:
        rows: which image each question is about [B], None for one each, in order.
        kept: for each hop which h are not dropped [B, R, K], 1 or 0; None where all are kept.
        bounded: see `AttentionHop`.
    """

    rows: Tensor | None
    kept: Sequence[Tensor | None]
    bounded: bool


def look(plan: Plan, images: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The last query [B, H] and each hop's attention [B, R], float32, which has no gradient.

    Args:
        plan: of the hops.
        images: regions [I, R, H].
        query: the first [B, H].
        weights: of all hops: W_I [N K, H], W_Q [N, K, H] and its b [N, K], w [N, K] and its b [N]; all of one type.
    """
    last, *maps = _Hops.apply(plan, images, query, *weights)
    return last, maps


class _Hops(Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, images: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 - torch's own
        region, asked, bias, score, level = weights
        saved: list[Tensor] = []
        with torch.autocast(images.device.type, enabled=False):
            regions = _pick(images, plan.rows)
            mapped = torch.mm(images.flatten(0, 1), region.t()).view(*images.shape[:2], *score.shape)
            for k, kept in enumerate(plan.kept):
                about = torch.addmm(bias[k], query, asked[k].t())
                h = tanh_(_pick(mapped[:, :, k], plan.rows) + about.unsqueeze(1), kept)
                scores = torch.matmul(h, score[k]).add_(level[k]).float()
                scores = scores.tanh() if plan.bounded else scores
                attention = scores.softmax(dim=1)
                saved += query, h, scores, attention
                query = torch.bmm(attention.to(query.dtype).unsqueeze(1), regions).squeeze(1) + query
        ctx.plan = plan
        ctx.save_for_backward(images, region, asked, score, *saved)
        ctx.mark_non_differentiable(*saved[3::4])
        return query, *saved[3::4]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        images, region, asked, score, *saved = ctx.saved_tensors
        rows, kept, bounded = ctx.plan
        queries, bent, bounds, maps = (saved[kind::4] for kind in range(4))
        of_query = gradients[0]
        regions = _pick(images, rows)
        of_mapped = images.new_empty(*bent[0].shape[:2], *score.shape)
        of_asked, of_bias, of_score = torch.empty_like(asked), images.new_empty(score.shape), torch.empty_like(score)
        of_level = images.new_empty(len(score))
        of_contexts = [of_query] * len(score)
        for k in reversed(range(len(score))):
            of_contexts[k] = of_query
            of_attention = torch.bmm(regions, of_query.unsqueeze(2)).squeeze(2).float()
            of_scores = aten._softmax_backward_data(of_attention, maps[k], 1, torch.float32)
            of_scores = aten.tanh_backward(of_scores, bounds[k]) if bounded else of_scores
            of_scores, of_x = of_scores.to(score.dtype), of_mapped[:, :, k]
            passed = score[k].expand_as(bent[k]) if kept[k] is None else kept[k] * score[k]
            aten.tanh_backward.grad_input(passed, bent[k], grad_input=of_x).mul_(of_scores.unsqueeze(2))
            of_score[k], of_level[k] = of_scores.flatten() @ bent[k].flatten(0, 1), of_scores.sum()
            of_about = of_x.sum(dim=1)
            of_asked[k], of_bias[k] = of_about.t() @ queries[k], of_about.sum(dim=0)
            of_query = torch.addmm(of_query, of_about, asked[k])
        of_regions = torch.bmm(torch.stack(maps, dim=2).to(images.dtype), torch.stack(of_contexts, dim=1))
        of_images = _add_up(of_regions, rows, len(images))
        flat = _add_up(of_mapped, rows, len(images)).flatten(0, 1).flatten(1)
        of_images.flatten(0, 1).addmm_(flat, region)
        of_region = flat.t() @ images.flatten(0, 1)
        return None, of_images, of_query, of_region, of_asked, of_bias, of_score, of_level


def _pick(images: Tensor, rows: Tensor | None) -> Tensor:
    """Each question's image."""
    return images if rows is None else images.index_select(0, rows)


def _add_up(parts: Tensor, rows: Tensor | None, images: int) -> Tensor:
    """What the questions about an image add up to, in a fixed order on a CPU."""
    return parts if rows is None else parts.new_zeros(images, *parts.shape[1:]).index_add_(0, rows, parts)
