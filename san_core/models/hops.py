"""The attention hops: the same as `stacked_attention.reference_hops`, but faster.

On a CPU a training step spends more time reading and writing tensors of the regions than multiplying them. So:
- tanh and dropout write over their input instead of into new memory;
- W_I v of all hops is one matrix product;
- an image's regions are multiplied with all questions about that image at once;
- the gradients are computed by a hand-written backward pass, which writes them where they are needed.

Shapes: I images, B questions, R regions, H hidden, K attention, N hops, M the most questions about one image.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from san_core.models.activations import tanh_

# torch has no public function for the gradient of softmax or tanh, given its output.
_softmax_backward = torch.ops.aten._softmax_backward_data
_tanh_backward = torch.ops.aten.tanh_backward


class HopOptions(NamedTuple):
    """What the hops compute with besides their inputs and weights.

    Attributes:
        image_rows: which image each question is about [B]; None if question b is about image b.
        masks: the dropout mask of each hop: 1 where an element of h is kept, 0 where it is dropped [B, R, K]; None
            where all are kept.
        bounded: whether the scores of the regions go through a tanh, see `AttentionHop`.
    """

    image_rows: Tensor | None
    masks: Sequence[Tensor | None]
    bounded: bool


def apply_hops(options: HopOptions, images: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Applies all hops, one after the other. Arguments and results as for `reference_hops`.

    All weights must have the type of the images. The attention is computed in float32 and has no gradient.
    """
    query, *attention = _Hops.apply(options, images, query, *weights)
    return query, attention


class _Hops(Function):
    @staticmethod
    def forward(ctx: Any, options: HopOptions, images: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 - torch gives it no public type
        w_image, w_query, b_query, w_score, b_score = weights
        questions = _QuestionsByImage(options.image_rows, len(images))
        by_hop = []
        with torch.autocast(images.device.type, enabled=False):
            w_image_v = torch.mm(images.flatten(0, 1), w_image.t())  # of all hops [I R, N K]
            w_image_v = w_image_v.view(*images.shape[:2], *w_score.shape)
            for hop, mask in enumerate(options.masks):
                w_query_u = torch.addmm(b_query[hop], query, w_query[hop].t())
                tanh_h = tanh_(questions.gather(w_image_v[:, :, hop]) + w_query_u.unsqueeze(1), mask)  # (15)
                scores = torch.matmul(tanh_h, w_score[hop]).add_(b_score[hop]).float()
                scores = scores.tanh() if options.bounded else scores
                attention = scores.softmax(dim=1)  # (16)
                by_hop.append((query, tanh_h, scores, attention))
                context = questions.unpad(torch.bmm(questions.pad(attention.to(query.dtype)), images))  # (17)
                query = context + query  # (18)
        queries, all_tanh_h, all_scores, all_attention = zip(*by_hop, strict=True)
        ctx.options, ctx.questions = options, questions
        ctx.save_for_backward(images, w_image, w_query, w_score, *queries, *all_tanh_h, *all_scores, *all_attention)
        ctx.mark_non_differentiable(*all_attention)
        return query, *all_attention

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        images, w_image, w_query, w_score, *saved = ctx.saved_tensors
        _, masks, bounded = ctx.options
        questions: _QuestionsByImage = ctx.questions
        hops = len(w_score)
        query, tanh_h, scores, attention = (saved[first : first + hops] for first in range(0, 4 * hops, hops))
        grad_query = grads[0]
        grad_w_image_v = images.new_empty(*tanh_h[0].shape[:2], *w_score.shape)  # of each question [B, R, N, K]
        grad_w_query, grad_b_query = torch.empty_like(w_query), images.new_empty(w_score.shape)
        grad_w_score, grad_b_score = torch.empty_like(w_score), images.new_empty(hops)
        grad_context = [grad_query] * hops
        for hop in reversed(range(hops)):
            # Equation (18): u = context + previous u
            grad_context[hop] = grad_query
            # Equation (17): context = sum_i p_i v_i
            grad_p = questions.unpad(torch.bmm(questions.pad(grad_query), images.transpose(1, 2))).float()
            # Equation (16): p = softmax(scores), with scores = w h + b
            grad_scores = _softmax_backward(grad_p, attention[hop], 1, torch.float32)
            grad_scores = _tanh_backward(grad_scores, scores[hop]) if bounded else grad_scores
            grad_scores = grad_scores.to(w_score.dtype)
            grad_w_score[hop] = grad_scores.flatten() @ tanh_h[hop].flatten(0, 1)
            grad_b_score[hop] = grad_scores.sum()
            # Equation (15): h = mask * tanh(W_I v + (W_Q u + b)), where h is `tanh_h`
            w_score_masked = w_score[hop].expand_as(tanh_h[hop]) if masks[hop] is None else masks[hop] * w_score[hop]
            grad_pre_tanh = grad_w_image_v[:, :, hop]
            _tanh_backward.grad_input(w_score_masked, tanh_h[hop], grad_input=grad_pre_tanh)
            grad_pre_tanh.mul_(grad_scores.unsqueeze(2))
            grad_w_query_u = grad_pre_tanh.sum(dim=1)
            grad_w_query[hop], grad_b_query[hop] = grad_w_query_u.t() @ query[hop], grad_w_query_u.sum(dim=0)
            grad_query = torch.addmm(grad_query, grad_w_query_u, w_query[hop])
        # v of equations (17) and (15), for all hops at once
        all_attention = questions.pad(torch.stack(attention, dim=1).to(images.dtype)).flatten(1, 2)  # [I, M N, R]
        all_grad_context = questions.pad(torch.stack(grad_context, dim=1)).flatten(1, 2)  # [I, M N, H]
        grad_images = torch.bmm(all_attention.transpose(1, 2), all_grad_context)
        grad_by_region = questions.scatter_add(grad_w_image_v).flatten(0, 1).flatten(1)  # [I R, N K]
        grad_images.flatten(0, 1).addmm_(grad_by_region, w_image)
        grad_w_image = grad_by_region.t() @ images.flatten(0, 1)
        return None, grad_images, grad_query, grad_w_image, grad_w_query, grad_b_query, grad_w_score, grad_b_score


class _QuestionsByImage:
    """Which questions are about which image.

    Args:
        image_rows: see `HopOptions`.
        images: I.
    """

    def __init__(self, image_rows: Tensor | None, images: int) -> None:
        self._image_rows, self._images = image_rows, images
        if image_rows is not None:
            counts = torch.bincount(image_rows, minlength=images)
            self._most = int(counts.max())  # M
            earlier = counts.cumsum(0) - counts  # questions about the images before each image
            by_image = image_rows.argsort(stable=True)
            # The place of each question in [I M]: M places for each image, filled in the order of the questions.
            self._slots = image_rows * self._most - earlier.index_select(0, image_rows)
            self._slots[by_image] += torch.arange(len(image_rows), device=image_rows.device)

    def gather(self, by_image: Tensor) -> Tensor:
        """From values of the images [I, ...] to those of the questions' images [B, ...]."""
        return by_image if self._image_rows is None else by_image.index_select(0, self._image_rows)

    def scatter_add(self, by_question: Tensor) -> Tensor:
        """From values of the questions [B, ...] to their sums over each image's questions [I, ...].

        On a CPU the order of the additions is fixed, so that the sums are the same in every run.
        """
        if self._image_rows is None:
            return by_question
        sums = by_question.new_zeros(self._images, *by_question.shape[1:])
        return sums.index_add_(0, self._image_rows, by_question)

    def pad(self, by_question: Tensor) -> Tensor:
        """From values of the questions [B, ...] to those of each image's questions [I, M, ...], padded with zeros."""
        if self._image_rows is None:
            return by_question.unsqueeze(1)
        padded = by_question.new_zeros(self._images * self._most, *by_question.shape[1:])
        return padded.index_copy_(0, self._slots, by_question).view(self._images, self._most, *by_question.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """The inverse of `pad`."""
        return padded.squeeze(1) if self._image_rows is None else padded.flatten(0, 1).index_select(0, self._slots)
