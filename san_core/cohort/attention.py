"""The projection of the regions and the attention hops of W members at once, with their gradients.

Each member gets the result of `reference_hops` of `san_core.models.stacked_attention` for its own weights; that module
explains the names and the numbers of the equations. All members see the same images, so features have no axis W.
Reading and writing memory takes most of the time here, not arithmetic. So the backward pass computes h again instead
of storing it, and the gradient of W_I v overwrites W_I v.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, C channels, H hidden, K attention,
N hops.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from san_core.cohort import pointwise


class HopMasks(NamedTuple):
    """Dropout of h in all hops: an element is dropped where its random byte is below the member's threshold.

    Attributes:
        random: random bytes (uint8), the same for all members [N, I, Q, R, K].
        thresholds: threshold of each member [W] (int32): the share to drop times 256, 0 to 255.
    """

    random: Tensor
    thresholds: Tensor

    def of_hop(self, hop: int) -> pointwise.Mask:
        """The random bytes [I, Q, R, K] of one hop, and the thresholds."""
        return pointwise.Mask(self.random[hop], self.thresholds)


class HopWeights(NamedTuple):
    """The weights of all hops and members.

    Attributes:
        w_image: W_I [W, N, K, H].
        w_query: W_Q [W, N, K, H].
        b_query: b_A [W, N, K].
        w_score: W_P [W, N, K]. In training it is multiplied by the scale of dropout.
        b_score: b_P [W, N].
    """

    w_image: Tensor
    w_query: Tensor
    b_query: Tensor
    w_score: Tensor
    b_score: Tensor


class _Hop(NamedTuple):
    """Tensors of a hop that the backward pass needs.

    Attributes:
        query: u before the hop [W, S, H].
        projected_query: W_Q u + b_A [W, S, K].
        scores: scores of the regions, after tanh if they are bounded [W, S, R].
        attention: p = softmax(scores) [W, S, R].
    """

    query: Tensor
    projected_query: Tensor
    scores: Tensor
    attention: Tensor


class _Attend(Function):
    """The hops, and their gradients with one equation at a time."""

    @staticmethod
    def forward(  # noqa: PLR0913 - torch's own form
        ctx: Any,  # noqa: ANN401 - it has no public type
        features: Tensor,
        query: Tensor,
        w_region: Tensor,
        channel_factors: Tensor | None,
        masks: HopMasks | None,
        bounded: bool,
        *weights: Tensor,
    ) -> Tensor:
        w_image, w_query, b_query, w_score, b_score = weights
        members, images, count = len(w_region), *features.shape[:2]
        num_hops, size = w_score.shape[1:]
        flat_features = features.flatten(0, 1).expand(members, -1, -1)
        if channel_factors is not None:  # rounded once, to the type of the weight
            w_region = torch.mul(w_region, channel_factors, out=torch.empty_like(w_region))
        # Regions v = tanh(W f + b). The bias b is the weight of the channel that is 1.
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
        ctx.channel_factors, ctx.masks, ctx.bounded, ctx.images = channel_factors, masks, bounded, images
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
            saved_hop = saved_hops[hop]
            grad_contexts.insert(0, grad_query)
            grad_scores = _grad_scores(saved_hop, grad_query, regions, images=ctx.images, bounded=ctx.bounded)
            # Equation (15). The gradient of W_I v overwrites W_I v.
            grad_projected_query, grad_w_score = pointwise.attention_scores_backward_(
                grad_scores,
                projected_regions[:, :, :, hop],
                saved_hop.projected_query,
                weights.w_score[:, hop],
                None if ctx.masks is None else ctx.masks.of_hop(hop),
            )
            grads.w_score[:, hop], grads.b_score[:, hop] = grad_w_score.sum(dim=1), grad_scores.sum(dim=(1, 2))
            # W_Q u + b_A
            grads.w_query[:, hop] = torch.bmm(grad_projected_query.transpose(1, 2), saved_hop.query)
            grads.b_query[:, hop] = grad_projected_query.sum(dim=1)
            grad_query = torch.baddbmm(grad_query, grad_projected_query, weights.w_query[:, hop])
        # W_I v of all hops
        grad_projected_regions = projected_regions.flatten(3, 4).flatten(1, 2)
        torch.bmm(grad_projected_regions.transpose(1, 2), regions, out=grads.w_image.flatten(1, 2))
        grad_regions = torch.bmm(grad_projected_regions, weights.w_image.flatten(1, 2))
        # Regions v = tanh(W f + b), which equation (17) of each hop uses too
        attentions = [saved_hop.attention for saved_hop in saved_hops]
        grad_pre_tanh = pointwise.regions_backward_(grad_regions, regions, attentions, grad_contexts)
        grad_w_region = torch.bmm(grad_pre_tanh.transpose(1, 2), flat_features)
        if ctx.channel_factors is not None:
            grad_w_region.mul_(ctx.channel_factors)
        return None, grad_query, grad_w_region, None, None, None, *grads


def _grad_scores(hop: _Hop, grad_query: Tensor, regions: Tensor, *, images: int, bounded: bool) -> Tensor:
    """Computes the gradient of a hop's scores [W, S, R] from the gradient of the query after the hop [W, S, H]."""
    # Equations (17) and (18): next query = sum_i attention_i regions_i + query
    by_image, regions_by_image = _by_image(grad_query, regions, images)
    grad_attention = torch.bmm(by_image, regions_by_image.transpose(1, 2)).view(hop.attention.shape)
    # Equation (16): attention = softmax(scores)
    dtype = hop.attention.dtype
    grad_scores: Tensor = torch.ops.aten._softmax_backward_data(grad_attention.to(dtype), hop.attention, -1, dtype)
    return torch.ops.aten.tanh_backward(grad_scores, hop.scores) if bounded else grad_scores


def _by_image(of_slots: Tensor, of_regions: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """Views values of slots [W, S, ...] and of regions [W, I R, ...] by image, [W I, Q, ...] and [W I, R, ...]."""
    groups = len(of_slots) * images
    return of_slots.view(groups, -1, of_slots.shape[2]), of_regions.view(groups, -1, of_regions.shape[2])


def attend(  # noqa: PLR0913 - what attention is made of
    features: Tensor,
    query: Tensor,
    w_region: Tensor,
    weights: HopWeights,
    *,
    masks: HopMasks | None,
    channel_factors: Tensor | None,
    bounded: bool,
) -> Tensor:
    """Applies all hops; returns the last query [W, S, H].

    Args:
        features: features of the images [I, R, C]. One channel is always 1: its weight is the bias.
        query: question vectors, the first query [W, S, H]; questions about one image are next to each other.
        w_region: weight of the projection of the features to regions [W, H, C].
        weights: weights of the hops.
        masks: dropout masks; None without dropout.
        channel_factors: factors of the channels, by which `w_region` is multiplied [W, 1, C]; None for 1.
        bounded: see `san_core.models.stacked_attention.AttentionHop`.
    """
    return _Attend.apply(features, query, w_region, channel_factors, masks, bounded, *weights)  # type: ignore[no-any-return]
