"""The attention hops: the same as `stacked_attention.reference_hops`, but faster.

On a CPU a training step spends more time reading and writing tensors of the regions than multiplying them. So:
- tanh and dropout write over their input instead of into new memory;
- W_I v of all hops is one matrix product;
- an image's regions are multiplied with all questions about that image at once;
- the gradients are computed by a hand-written backward pass, which writes them where they are needed.

The names and the numbers of the equations are explained in `stacked_attention`.

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
    """Arguments of the hops besides their inputs and weights.

    Attributes:
        image_rows: index of the image that each question is about [B]; None if question b is about image b.
        masks: the dropout mask of each hop: 1 where an element of h is kept, 0 where it is dropped [B, R, K]; None
            where all are kept.
        bounded: whether the scores of the regions go through a tanh, see `AttentionHop`.
    """

    image_rows: Tensor | None
    masks: Sequence[Tensor | None]
    bounded: bool


class HopWeights(NamedTuple):
    """The weights of all hops.

    Attributes:
        w_image: W_I of the hops, one below the other [N K, H].
        w_query: W_Q [N, K, H].
        b_query: b_A [N, K].
        w_score: W_P [N, K]. Where there are dropout masks, it is multiplied by the scale of dropout.
        b_score: b_P [N].
    """

    w_image: Tensor
    w_query: Tensor
    b_query: Tensor
    w_score: Tensor
    b_score: Tensor


def apply_hops(options: HopOptions, regions: Tensor, query: Tensor, weights: HopWeights) -> tuple[Tensor, list[Tensor]]:
    """Applies all hops, one after the other. Arguments and results as for `reference_hops`.

    The query and all weights must have the type of the regions. The attention is computed in float32 and has no
    gradient.
    """
    query, *all_attention = _Hops.apply(options, regions, query, *weights)
    return query, all_attention


class _Hops(Function):
    @staticmethod
    def forward(ctx: Any, options: HopOptions, regions: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 - torch gives it no public type
        w_image, w_query, b_query, w_score, b_score = HopWeights(*weights)
        questions = _QuestionsByImage(options.image_rows, len(regions))
        by_hop = []
        with torch.autocast(regions.device.type, enabled=False):
            projected_regions = torch.mm(regions.flatten(0, 1), w_image.t())  # of all hops [I R, N K]
            projected_regions = projected_regions.view(*regions.shape[:2], *w_score.shape)
            for hop, mask in enumerate(options.masks):
                projected_query = torch.addmm(b_query[hop], query, w_query[hop].t())
                h = tanh_(questions.gather(projected_regions[:, :, hop]) + projected_query.unsqueeze(1), mask)  # (15)
                scores = torch.matmul(h, w_score[hop]).add_(b_score[hop]).float()
                scores = scores.tanh() if options.bounded else scores
                attention = scores.softmax(dim=1)  # (16)
                by_hop.append((query, h, scores, attention))
                context = questions.unpad(torch.bmm(questions.pad(attention.to(query.dtype)), regions))  # (17)
                query = context + query  # (18)
        queries, all_h, all_scores, all_attention = zip(*by_hop, strict=True)
        ctx.options, ctx.questions = options, questions
        ctx.save_for_backward(regions, w_image, w_query, w_score, *queries, *all_h, *all_scores, *all_attention)
        ctx.mark_non_differentiable(*all_attention)
        return query, *all_attention

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        regions, w_image, w_query, w_score, *saved = ctx.saved_tensors
        _, masks, bounded = ctx.options
        questions: _QuestionsByImage = ctx.questions
        num_hops = len(w_score)
        queries, all_h, all_scores, all_attention = (saved[i * num_hops : (i + 1) * num_hops] for i in range(4))
        grad_query = grads[0]
        all_grad_pre_tanh = regions.new_empty(*all_h[0].shape[:2], *w_score.shape)  # of all hops [B, R, N, K]
        grad_w_query, grad_b_query = torch.empty_like(w_query), regions.new_empty(w_score.shape)
        grad_w_score, grad_b_score = torch.empty_like(w_score), regions.new_empty(num_hops)
        grad_contexts = [grad_query] * num_hops
        for hop in reversed(range(num_hops)):
            # Equation (18): next query = context + query
            grad_contexts[hop] = grad_query
            # Equation (17): context = sum_i attention_i regions_i
            grad_attention = questions.unpad(torch.bmm(questions.pad(grad_query), regions.transpose(1, 2))).float()
            # Equation (16): attention = softmax(scores), with scores = W_P h + b_P
            grad_scores = _softmax_backward(grad_attention, all_attention[hop], 1, torch.float32)
            grad_scores = _tanh_backward(grad_scores, all_scores[hop]) if bounded else grad_scores
            grad_scores = grad_scores.to(w_score.dtype)
            grad_w_score[hop] = grad_scores.flatten() @ all_h[hop].flatten(0, 1)
            grad_b_score[hop] = grad_scores.sum()
            # Equation (15): h = mask * tanh(W_I v + (W_Q u + b_A)). The gradient of tanh needs its output before the
            # mask, but only h is kept. It is the same where the mask is 1; where the mask is 0, w_score_masked is 0
            # and so is the gradient.
            w_score_masked = w_score[hop].expand_as(all_h[hop]) if masks[hop] is None else masks[hop] * w_score[hop]
            grad_pre_tanh = all_grad_pre_tanh[:, :, hop]
            _tanh_backward.grad_input(w_score_masked, all_h[hop], grad_input=grad_pre_tanh)
            grad_pre_tanh.mul_(grad_scores.unsqueeze(2))
            grad_projected_query = grad_pre_tanh.sum(dim=1)
            grad_w_query[hop], grad_b_query[hop] = (
                grad_projected_query.t() @ queries[hop],
                grad_projected_query.sum(dim=0),
            )
            grad_query = torch.addmm(grad_query, grad_projected_query, w_query[hop])
        # The regions of equation (17), for all hops at once: [I, M N, R] and [I, M N, H]
        padded_attention = questions.pad(torch.stack(all_attention, dim=1).to(regions.dtype)).flatten(1, 2)
        padded_grad_contexts = questions.pad(torch.stack(grad_contexts, dim=1)).flatten(1, 2)
        grad_regions = torch.bmm(padded_attention.transpose(1, 2), padded_grad_contexts)
        # The regions of equation (15), for all hops at once
        grad_projected_regions = questions.scatter_add(all_grad_pre_tanh).flatten(0, 1).flatten(1)  # [I R, N K]
        grad_regions.flatten(0, 1).addmm_(grad_projected_regions, w_image)
        grad_w_image = grad_projected_regions.t() @ regions.flatten(0, 1)
        return None, grad_regions, grad_query, grad_w_image, grad_w_query, grad_b_query, grad_w_score, grad_b_score


class _QuestionsByImage:
    """Converts between values by question [B, ...] and values by image [I, ...].

    Args:
        image_rows: see `HopOptions`.
        num_images: I.
    """

    def __init__(self, image_rows: Tensor | None, num_images: int) -> None:
        self._image_rows, self._num_images = image_rows, num_images
        if image_rows is not None:
            counts = torch.bincount(image_rows, minlength=num_images)
            self._max_questions = int(counts.max())  # M
            earlier = counts.cumsum(0) - counts  # questions about the images before each image
            by_image = image_rows.argsort(stable=True)
            # The place of each question in [I M]: M places for each image, filled in the order of the questions.
            self._slots = image_rows * self._max_questions - earlier.index_select(0, image_rows)
            self._slots[by_image] += torch.arange(len(image_rows), device=image_rows.device)

    def gather(self, by_image: Tensor) -> Tensor:
        """Copies values of the images [I, ...] to the questions about them [B, ...]."""
        return by_image if self._image_rows is None else by_image.index_select(0, self._image_rows)

    def scatter_add(self, by_question: Tensor) -> Tensor:
        """Sums values of the questions [B, ...] over the questions about each image [I, ...].

        On a CPU the order of the additions is fixed, so that the sums are the same in every run.
        """
        if self._image_rows is None:
            return by_question
        sums = by_question.new_zeros(self._num_images, *by_question.shape[1:])
        return sums.index_add_(0, self._image_rows, by_question)

    def pad(self, by_question: Tensor) -> Tensor:
        """Groups values of the questions [B, ...] by image [I, M, ...], padded with zeros."""
        if self._image_rows is None:
            return by_question.unsqueeze(1)
        padded = by_question.new_zeros(self._num_images, self._max_questions, *by_question.shape[1:])
        padded.flatten(0, 1).index_copy_(0, self._slots, by_question)
        return padded

    def unpad(self, padded: Tensor) -> Tensor:
        """The inverse of `pad`."""
        return padded.squeeze(1) if self._image_rows is None else padded.flatten(0, 1).index_select(0, self._slots)
