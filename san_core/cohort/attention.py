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

from san_core.cohort import kernels


class HopMasks(NamedTuple):
    """Which h of a hop are dropped: those whose random byte lies below the member's threshold.

    Attributes:
        random: a byte for each h [N, I, Q, R, K], the same for all members.
        thresholds: of each member [W] (int32), 0 to 255: the share that is dropped, times 256.
    """

    random: Tensor
    thresholds: Tensor

    def of_hop(self, hop: int) -> kernels.Mask:
        """Random bytes [I, Q, R, K] of a hop, and the thresholds."""
        return kernels.Mask(self.random[hop], self.thresholds)


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
        w_query_u: W_Q u + b_A [W, S, K].
        scores: of the regions, after their tanh where they are bounded [W, S, R].
        attention: p = softmax(scores) [W, S, R].
    """

    query: Tensor
    w_query_u: Tensor
    scores: Tensor
    attention: Tensor


class _Attend(Function):
    @staticmethod
    def forward(  # noqa: PLR0913 - torch's own form
        ctx: Any,  # noqa: ANN401 - as above
        features: Tensor,
        query: Tensor,
        w_region: Tensor,
        masks: HopMasks | None,
        bounded: bool,
        *weights: Tensor,
    ) -> Tensor:
        w_image, w_query, b_query, w_score, b_score = weights
        members, images, count = len(w_region), *features.shape[:2]
        hops, size = w_score.shape[1:]
        flat_features = features.flatten(0, 1).expand(members, -1, -1)
        # v = tanh(W f + b): b is the weight of the channel that is 1.
        regions = torch.bmm(flat_features, w_region.transpose(1, 2)).tanh_()
        # W_I v of all hops.
        w_image_v = torch.bmm(regions, w_image.flatten(1, 2).transpose(1, 2)).view(members, images, count, hops, size)
        saved: list[Tensor] = []
        for hop in range(hops):
            # W_Q u + b_A
            w_query_u = torch.baddbmm(b_query[:, hop].unsqueeze(1), query, w_query[:, hop].transpose(1, 2))
            # scores = W_P h + b_P, h = dropout(tanh(W_I v + (W_Q u + b_A)))
            mask = None if masks is None else masks.of_hop(hop)
            scores = kernels.attention_scores(
                w_image_v[:, :, :, hop], w_query_u, w_score[:, hop], b_score[:, hop], mask
            )
            scores = scores.tanh_() if bounded else scores
            # p: softmax of the scores
            attention = scores.softmax(dim=-1)
            saved += _Hop(query, w_query_u, scores, attention)
            # u = sum_i p_i v_i + u
            query = torch.bmm(*_by_image(attention.to(regions.dtype), regions, images)).view(query.shape) + query
        ctx.masks, ctx.bounded, ctx.images = masks, bounded, images
        ctx.save_for_backward(flat_features, regions, w_image_v, *weights, *saved)
        return query

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's own
        flat_features, regions, w_image_v, *saved = ctx.saved_tensors
        weights = HopWeights(*saved[:5])
        hops = [_Hop(*saved[start : start + 4]) for start in range(5, len(saved), 4)]
        grads = HopWeights(*(weight.new_empty(weight.shape) for weight in weights))
        grad_query = gradients[0].contiguous()
        grad_contexts: list[Tensor] = []
        for number, hop in reversed(list(enumerate(hops))):
            grad_contexts.insert(0, grad_query)
            grad_scores = _grad_scores(hop, grad_query, regions, images=ctx.images, bounded=ctx.bounded)
            # scores = W_P h + b_P, h = dropout(tanh(W_I v + (W_Q u + b_A))); the gradient of W_I v is written over it
            grad_w_query_u, grad_w_score = kernels.attention_scores_backward(
                grad_scores,
                w_image_v[:, :, :, number],
                hop.w_query_u,
                weights.w_score[:, number],
                None if ctx.masks is None else ctx.masks.of_hop(number),
            )
            grads.w_score[:, number], grads.b_score[:, number] = grad_w_score.sum(dim=1), grad_scores.sum(dim=(1, 2))
            # W_Q u + b_A
            grads.w_query[:, number] = torch.bmm(grad_w_query_u.transpose(1, 2), hop.query)
            grads.b_query[:, number] = grad_w_query_u.sum(dim=1)
            grad_query = torch.baddbmm(grad_query, grad_w_query_u, weights.w_query[:, number])
        # W_I v of all hops
        grad_w_image_v = w_image_v.flatten(3, 4).flatten(1, 2)
        torch.bmm(grad_w_image_v.transpose(1, 2), regions, out=grads.w_image.flatten(1, 2))
        grad_regions = torch.bmm(grad_w_image_v, weights.w_image.flatten(1, 2))
        # v = tanh(W f + b), and sum_i p_i v_i of each hop
        attentions = [hop.attention for hop in hops]
        grad_pre_tanh = kernels.regions_backward(grad_regions, regions, attentions, grad_contexts)
        grad_w_region = torch.bmm(grad_pre_tanh.transpose(1, 2), flat_features)
        return None, grad_query, grad_w_region, None, None, *grads


def _grad_scores(hop: _Hop, grad_query: Tensor, regions: Tensor, *, images: int, bounded: bool) -> Tensor:
    """Gradient of a hop's scores [W, S, R] from that of the query after it [W, S, H]."""
    # u = sum_i p_i v_i + u
    by_image, regions_by_image = _by_image(grad_query, regions, images)
    grad_attention = torch.bmm(by_image, regions_by_image.transpose(1, 2)).view(hop.attention.shape)
    # p: softmax of the scores
    exact = hop.attention.dtype
    grad_scores: Tensor = torch.ops.aten._softmax_backward_data(grad_attention.to(exact), hop.attention, -1, exact)
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
