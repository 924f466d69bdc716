"""Projection of the regions and the attention hops of W members at once, with their gradients.

They compute what `reference_hops` of `san_core.models.stacked_attention` does, for each member with its own weights.
All members see the same images, so features have no axis W. The backward pass computes h again instead of keeping it,
and writes the gradient of W_I v over W_I v: reading and writing memory limits this step, not arithmetic.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, C channels, H hidden, K attention,
N hops.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from san_core.cohort import pointwise


class HopMasks(NamedTuple):
    """Which h of a hop are dropped: those whose random byte lies below the member's threshold.

    Attributes:
        random: a byte for each h [N, I, Q, R, K], the same for all members.
        thresholds: of each member [W] (int32), 0 to 255: the share that is dropped, times 256.
    """

    random: Tensor
    thresholds: Tensor

    def of_hop(self, hop: int) -> pointwise.Mask:
        """Random bytes [I, Q, R, K] of a hop, and the thresholds."""
        return pointwise.Mask(self.random[hop], self.thresholds)


class HopWeights(NamedTuple):
    """Weights of all hops, of all members.

    Attributes:
        w_image, w_query: [W, N, K, H].
        b_query: [W, N, K].
        w_score: [W, N, K], dropout's scale included.
        b_score: [W, N].
    """

    w_image: Tensor
    w_query: Tensor
    b_query: Tensor
    w_score: Tensor
    b_score: Tensor


class _Hop(NamedTuple):
    """What the backward pass needs of a hop.

    Attributes:
        query: u before the hop [W, S, H].
        projected_query: W_Q u + b_A [W, S, K].
        scores: of the regions, after their tanh where they are bounded [W, S, R].
        attention: p = softmax(scores) [W, S, R].
    """

    query: Tensor
    projected_query: Tensor
    scores: Tensor
    attention: Tensor


class _Attend(Function):
    @staticmethod
    def forward(  # noqa: PLR0913 - torch's own form
        ctx: Any,  # noqa: ANN401 - it has no public type
        features: Tensor,
        query: Tensor,
        w_region: Tensor,
        masks: HopMasks | None,
        bounded: bool,
        *weights: Tensor,
    ) -> Tensor:
        w_image, w_query, b_query, w_score, b_score = weights
        members, images, count = len(w_region), *features.shape[:2]
        num_hops, size = w_score.shape[1:]
        flat_features = features.flatten(0, 1).expand(members, -1, -1)
        # regions v = tanh(W f + b); b is the weight of the channel that is 1.
        regions = torch.bmm(flat_features, w_region.transpose(1, 2)).tanh_()
        # W_I v of all hops.
        projected_regions = torch.bmm(regions, w_image.flatten(1, 2).transpose(1, 2)).view(
            members, images, count, num_hops, size
        )
        saved: list[Tensor] = []
        for hop in range(num_hops):
            # Equation (15): h = mask * tanh(W_I v + (W_Q u + b_A)), scores = W_P h + b_P
            projected_query = torch.baddbmm(b_query[:, hop].unsqueeze(1), query, w_query[:, hop].transpose(1, 2))
            mask = None if masks is None else masks.of_hop(hop)
            scores = pointwise.attention_scores(
                projected_regions[:, :, :, hop], projected_query, w_score[:, hop], b_score[:, hop], mask
            )
            scores = scores.tanh_() if bounded else scores
            # Equation (16): attention = softmax(scores)
            attention = scores.softmax(dim=-1)
            saved += _Hop(query, projected_query, scores, attention)
            # Equations (17) and (18): next query = sum_i attention_i regions_i + query
            query = torch.bmm(*_by_image(attention.to(regions.dtype), regions, images)).view(query.shape) + query
        ctx.masks, ctx.bounded, ctx.images = masks, bounded, images
        ctx.save_for_backward(flat_features, regions, projected_regions, *weights, *saved)
        return query

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's own
        flat_features, regions, projected_regions, *saved = ctx.saved_tensors
        weights = HopWeights(*saved[:5])
        saved_hops = [_Hop(*saved[start : start + 4]) for start in range(5, len(saved), 4)]
        grads = HopWeights(*(weight.new_empty(weight.shape) for weight in weights))
        grad_query = gradients[0].contiguous()
        grad_contexts: list[Tensor] = []
        for hop in reversed(range(len(saved_hops))):
            kept = saved_hops[hop]
            grad_contexts.insert(0, grad_query)
            grad_scores = _grad_scores(kept, grad_query, regions, images=ctx.images, bounded=ctx.bounded)
            # Equation (15); the gradient of W_I v is written over W_I v
            grad_projected_query, grad_w_score = pointwise.attention_scores_backward_(
                grad_scores,
                projected_regions[:, :, :, hop],
                kept.projected_query,
                weights.w_score[:, hop],
                None if ctx.masks is None else ctx.masks.of_hop(hop),
            )
            grads.w_score[:, hop], grads.b_score[:, hop] = grad_w_score.sum(dim=1), grad_scores.sum(dim=(1, 2))
            # W_Q u + b_A
            grads.w_query[:, hop] = torch.bmm(grad_projected_query.transpose(1, 2), kept.query)
            grads.b_query[:, hop] = grad_projected_query.sum(dim=1)
            grad_query = torch.baddbmm(grad_query, grad_projected_query, weights.w_query[:, hop])
        # W_I v of all hops
        grad_projected_regions = projected_regions.flatten(3, 4).flatten(1, 2)
        torch.bmm(grad_projected_regions.transpose(1, 2), regions, out=grads.w_image.flatten(1, 2))
        grad_regions = torch.bmm(grad_projected_regions, weights.w_image.flatten(1, 2))
        # regions = tanh(W f + b), and equation (17) of each hop
        attentions = [kept.attention for kept in saved_hops]
        grad_pre_tanh = pointwise.regions_backward_(grad_regions, regions, attentions, grad_contexts)
        grad_w_region = torch.bmm(grad_pre_tanh.transpose(1, 2), flat_features)
        return None, grad_query, grad_w_region, None, None, *grads


def _grad_scores(hop: _Hop, grad_query: Tensor, regions: Tensor, *, images: int, bounded: bool) -> Tensor:
    """Gradient of a hop's scores [W, S, R] from that of the query after it [W, S, H]."""
    # Equations (17) and (18): next query = sum_i attention_i regions_i + query
    by_image, regions_by_image = _by_image(grad_query, regions, images)
    grad_attention = torch.bmm(by_image, regions_by_image.transpose(1, 2)).view(hop.attention.shape)
    # Equation (16): attention = softmax(scores)
    dtype = hop.attention.dtype
    grad_scores: Tensor = torch.ops.aten._softmax_backward_data(grad_attention.to(dtype), hop.attention, -1, dtype)
    return torch.ops.aten.tanh_backward(grad_scores, hop.scores) if bounded else grad_scores


def _by_image(of_slots: Tensor, of_regions: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """What slots [W, S, ...] and regions [W, I R, ...] have, as [W I, Q, ...] and [W I, R, ...] for a product."""
    groups = len(of_slots) * images
    return of_slots.view(groups, -1, of_slots.shape[2]), of_regions.view(groups, -1, of_regions.shape[2])


def attend(  # noqa: PLR0913 - what attention is made of
    features: Tensor,
    query: Tensor,
    w_region: Tensor,
    weights: HopWeights,
    *,
    masks: HopMasks | None,
    bounded: bool,
) -> Tensor:
    """The last query [W, S, H] of the hops.

    Args:
        features: of the images [I, R, C]; their last channel but the padding is 1, and its weight the bias.
        query: the first [W, S, H], an image's questions one after the other.
        w_region: projects the features [W, H, C].
        weights: of the hops.
        masks: of dropout; None where no member has any.
        bounded: see `san_core.models.stacked_attention.AttentionHop`.
    """
    return _Attend.apply(features, query, w_region, masks, bounded, *weights)  # type: ignore[no-any-return]
