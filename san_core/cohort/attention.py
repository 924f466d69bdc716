"""Projection of the regions and the attention hops of W members at once, with their gradients.

They compute what `reference_hops` of `san_core.models.stacked_attention` does, for each member with its own weights.
All members see the same images, so features have no axis W. h is not kept for the way back but worked out anew, and
gradients overwrite what they are gradients of: memory and its traffic limit this step, not arithmetic.

Shapes: W members, I images, Q questions about each, S = I Q slots, R regions, C channels, H hidden, K attention, N hops.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from san_core.cohort import kernels


class HopMasks(NamedTuple):
    """Which h of a hop are dropped: those whose random byte lies below the member's level.

    Attributes:
        random: a byte for each h [N, I, Q, R, K], the same for all members.
        levels: of each member [W] (int32), 0 to 255: the share that is dropped, times 256.
    """

    random: Tensor
    levels: Tensor

    def of_hop(self, hop: int) -> kernels.Mask:
        """Random bytes [I, Q, R, K] of a hop, and the levels."""
        return kernels.Mask(self.random[hop], self.levels)


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
        hop_weights = HopWeights(*weights)
        members, images, count = len(w_region), *features.shape[:2]
        hops, size = hop_weights.w_score.shape[1:]
        flat = features.flatten(0, 1).expand(members, -1, -1)
        regions = torch.bmm(flat, w_region.transpose(1, 2)).tanh_()  # v = tanh(W f + b) (section 3.1)
        mapped = torch.bmm(regions, hop_weights.w_image.flatten(1, 2).transpose(1, 2))  # W_I v of all hops
        mapped = mapped.view(members, images, count, hops, size)
        by_image = regions.view(members * images, count, -1)
        saved = []
        for hop in range(hops):
            about = torch.baddbmm(
                hop_weights.b_query[:, hop].unsqueeze(1), query, hop_weights.w_query[:, hop].transpose(1, 2)
            )
            scores = kernels.attention_scores(
                mapped[:, :, :, hop],
                about,
                hop_weights.w_score[:, hop],
                hop_weights.b_score[:, hop],
                None if masks is None else masks.of_hop(hop),
            )
            scores = scores.tanh_() if bounded else scores
            attention = scores.softmax(dim=-1)
            saved += [query, about, scores, attention]
            looks = attention.to(regions.dtype).view(members * images, -1, count)
            query = torch.bmm(looks, by_image).view(query.shape) + query  # u' = sum_i p_i v_i + u
        ctx.masks, ctx.bounded = masks, bounded
        ctx.save_for_backward(flat, regions, mapped, *weights, *saved)
        return query

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's own
        flat, regions, mapped, *saved = ctx.saved_tensors
        weights, saved = HopWeights(*saved[:5]), saved[5:]
        members, images, count, hops, size = mapped.shape
        by_image = regions.view(members * images, count, -1)
        grads = HopWeights(*(weight.new_empty(weight.shape) for weight in weights))
        grad_query, grad_contexts = gradients[0].contiguous(), [saved[0]] * hops
        for hop in reversed(range(hops)):
            query, about, scores, attention = saved[4 * hop : 4 * hop + 4]
            grad_contexts[hop] = grad_query
            looks = torch.bmm(grad_query.view(members * images, -1, regions.shape[2]), by_image.transpose(1, 2))
            grad_scores = torch.ops.aten._softmax_backward_data(
                looks.view(attention.shape).to(attention.dtype), attention, -1, attention.dtype
            )
            if ctx.bounded:
                grad_scores = torch.ops.aten.tanh_backward(grad_scores, scores)
            grad_about, grad_w_score = kernels.attention_scores_backward(
                grad_scores,
                mapped[:, :, :, hop],
                about,
                weights.w_score[:, hop],
                None if ctx.masks is None else ctx.masks.of_hop(hop),
            )
            grads.w_score[:, hop], grads.b_score[:, hop] = grad_w_score.sum(dim=1), grad_scores.sum(dim=(1, 2))
            grads.w_query[:, hop] = torch.bmm(grad_about.transpose(1, 2), query)
            grads.b_query[:, hop] = grad_about.sum(dim=1)
            grad_query = torch.baddbmm(grad_query, grad_about, weights.w_query[:, hop])
        grad_mapped = mapped.view(members, images * count, hops * size)  # which the loop above has put there
        torch.bmm(grad_mapped.transpose(1, 2), regions, out=grads.w_image.flatten(1, 2))
        grad_regions = torch.bmm(grad_mapped, weights.w_image.flatten(1, 2))
        grad_pre_tanh = kernels.regions_backward(grad_regions, regions, saved[3::4], grad_contexts)
        grad_w_region = torch.bmm(grad_pre_tanh.transpose(1, 2), flat)
        return None, grad_query, grad_w_region, None, None, *grads


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
