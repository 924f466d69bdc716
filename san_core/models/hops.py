"""The attention hops and their gradients, worked out by hand.

A step reads and writes the regions' tensors far longer than it would need to multiply them. So tanh and dropout
happen in place, W_I v of all hops is one product, an image's regions are multiplied with all questions about it at
once, and their gradient is added up where it lies.

Shapes: I images, B questions, R regions, H hidden, K attention, N hops, M the most questions about an image.
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
        rows: which image each question is about [B]; None for one each, in order.
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
        asking = _Asking(plan.rows, len(images))
        with torch.autocast(images.device.type, enabled=False):
            mapped = torch.mm(images.flatten(0, 1), region.t()).view(*images.shape[:2], *score.shape)
            for k, kept in enumerate(plan.kept):
                about = torch.addmm(bias[k], query, asked[k].t())
                h = tanh_(asking.pick(mapped[:, :, k]) + about.unsqueeze(1), kept)
                scores = torch.matmul(h, score[k]).add_(level[k]).float()
                scores = scores.tanh() if plan.bounded else scores
                attention = scores.softmax(dim=1)
                saved += query, h, scores, attention
                query = asking.ungroup(torch.bmm(asking.group(attention.to(query.dtype)), images)) + query
        ctx.plan, ctx.asking = plan, asking
        ctx.save_for_backward(images, region, asked, score, *saved)
        ctx.mark_non_differentiable(*saved[3::4])
        return query, *saved[3::4]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        images, region, asked, score, *saved = ctx.saved_tensors
        _, kept, bounded = ctx.plan
        asking: _Asking = ctx.asking
        queries, bent, bounds, maps = (saved[kind::4] for kind in range(4))
        of_query = gradients[0]
        of_mapped = images.new_empty(*bent[0].shape[:2], *score.shape)
        of_asked, of_bias, of_score = torch.empty_like(asked), images.new_empty(score.shape), torch.empty_like(score)
        of_level = images.new_empty(len(score))
        of_contexts = [of_query] * len(score)
        for k in reversed(range(len(score))):
            of_contexts[k] = of_query
            of_attention = asking.ungroup(torch.bmm(asking.group(of_query), images.transpose(1, 2))).float()
            of_scores = aten._softmax_backward_data(of_attention, maps[k], 1, torch.float32)
            of_scores = aten.tanh_backward(of_scores, bounds[k]) if bounded else of_scores
            of_scores, of_x = of_scores.to(score.dtype), of_mapped[:, :, k]
            passed = score[k].expand_as(bent[k]) if kept[k] is None else kept[k] * score[k]
            aten.tanh_backward.grad_input(passed, bent[k], grad_input=of_x).mul_(of_scores.unsqueeze(2))
            of_score[k], of_level[k] = of_scores.flatten() @ bent[k].flatten(0, 1), of_scores.sum()
            of_about = of_x.sum(dim=1)
            of_asked[k], of_bias[k] = of_about.t() @ queries[k], of_about.sum(dim=0)
            of_query = torch.addmm(of_query, of_about, asked[k])
        looks = asking.group(torch.stack(maps, dim=1).to(images.dtype)).flatten(1, 2)  # [I, M N, R]
        of_images = torch.bmm(looks.transpose(1, 2), asking.group(torch.stack(of_contexts, dim=1)).flatten(1, 2))
        flat = asking.add_up(of_mapped).flatten(0, 1).flatten(1)
        of_images.flatten(0, 1).addmm_(flat, region)
        of_region = flat.t() @ images.flatten(0, 1)
        return None, of_images, of_query, of_region, of_asked, of_bias, of_score, of_level


class _Asking:
    """Which questions are about which image.

    Args:
        rows: see `Plan`.
        images: I.
    """

    def __init__(self, rows: Tensor | None, images: int) -> None:
        self._rows, self._images = rows, images
        if rows is not None:
            counts = torch.bincount(rows, minlength=images)
            self._most = int(counts.max())
            before = counts.cumsum(0) - counts  # questions about earlier images
            by_image = rows.argsort(stable=True)
            self._places = rows * self._most - before.index_select(0, rows)
            self._places[by_image] += torch.arange(len(rows), device=rows.device)

    def pick(self, by_image: Tensor) -> Tensor:
        """What each image has [I, ...] for each question [B, ...]."""
        return by_image if self._rows is None else by_image.index_select(0, self._rows)

    def add_up(self, by_question: Tensor) -> Tensor:
        """What each question has [B, ...], added up for each image [I, ...], in a fixed order on a CPU."""
        if self._rows is None:
            return by_question
        return by_question.new_zeros(self._images, *by_question.shape[1:]).index_add_(0, self._rows, by_question)

    def group(self, by_question: Tensor) -> Tensor:
        """What each question has [B, ...], beside its image's others [I, M, ...]; 0 where an image has fewer."""
        if self._rows is None:
            return by_question.unsqueeze(1)
        grouped = by_question.new_zeros(self._images * self._most, *by_question.shape[1:])
        return grouped.index_copy_(0, self._places, by_question).view(self._images, self._most, *by_question.shape[1:])

    def ungroup(self, grouped: Tensor) -> Tensor:
        """The opposite of `group`."""
        return grouped.squeeze(1) if self._rows is None else grouped.flatten(0, 1).index_select(0, self._places)
