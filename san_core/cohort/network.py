"""The network of W members: their weights in one flat buffer, and the forward pass to the logits.

Shapes: W members, P row length, S slots of a batch, I images, R regions, C channels, H hidden, A answers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from san_core.cohort.attention import HopMasks, HopWeights, attend
from san_core.cohort.batches import Batch, Slots
from san_core.cohort.data import Questions
from san_core.cohort.layout import Layout, Sizes
from san_core.cohort.questions import cnn, lstm
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.models.dropout import dropout_scale, dropout_threshold

SHARED_FIELDS = (
    "batch_size",
    "questions_per_image",
    "hops",
    "question_encoder",
    "attention",
    "answer_target",
    "clip_by",
    "precision",
    "embedding_init",
)
"""Training settings that must be the same for all members of a cohort."""

HOP_BLOCKS = ("hop_image", "hop_query", "hop_query_bias", "hop_score", "hop_score_bias")
"""Names of the blocks for `HopWeights`, in the order of its fields."""


def check_alike(configs: Sequence[TrainingConfig]) -> None:
    """Checks that members can share a step.

    Raises:
        InputError: if their settings differ in one of `SHARED_FIELDS`; the message names it.
    """
    for name in SHARED_FIELDS:
        if len(found := {getattr(config, name) for config in configs}) > 1:
            raise InputError(f"{name} must be the same for all members of a cohort, but got {sorted(found, key=str)}")


class Network:
    """The weights of W members, and the forward pass.

    Args:
        configs: configuration of each member [W].
        sizes: sizes that all members share.
        device: device of the weights.
        dtype: type of the weights and their updates: float32, or float64 in tests.
        working: type of the matrix products: bfloat16, or `dtype`; None for `dtype`.

    Attributes:
        config: configuration of the first member, for the settings that all members share.
        layout: layout of a row: where each weight is stored.
        weights: weights of all members, in `dtype` [W, P].
        working: copy of `weights` in the type of the matrix products; the same tensor if the types are equal.
        blocks: views [W, ...] of `working`, by name; gradients are computed for them.
        thresholds: dropout threshold of each member [W] (int32), see `san_core.models.dropout`.
        dropout_scales: factor of each member for the activations that dropout keeps [W].
        has_dropout: whether any member has dropout.
    """

    def __init__(
        self,
        configs: Sequence[TrainingConfig],
        sizes: Sizes,
        device: torch.device,
        *,
        dtype: torch.dtype = torch.float32,
        working: torch.dtype | None = None,
    ) -> None:
        check_alike(configs)
        self.config = configs[0]
        self.layout = Layout(configs, sizes)
        shape = (len(configs), self.layout.row_length)
        self.weights = torch.zeros(shape, dtype=dtype, device=device)
        self.working = self.weights if working in {None, dtype} else torch.zeros(shape, dtype=working, device=device)
        self.blocks = {name: view.detach().requires_grad_() for name, view in self.layout.views(self.working).items()}
        self.thresholds = torch.zeros(len(configs), dtype=torch.int32, device=device)
        self.dropout_scales = torch.ones(len(configs), dtype=dtype, device=device)
        self.has_dropout = any(config.dropout > 0 for config in configs)
        self.set_dropout([config.dropout for config in configs])

    def set_dropout(self, shares: Sequence[float]) -> None:
        """Sets the share of activations that each member drops, in [0, 1)."""
        thresholds = [dropout_threshold(share) for share in shares]
        self.thresholds.copy_(torch.tensor(thresholds, dtype=torch.int32))
        scales = [dropout_scale(threshold) for threshold in thresholds]
        self.dropout_scales.copy_(torch.tensor(scales, dtype=self.dropout_scales.dtype))

    def random_bytes(self, slots: Slots, regions: int) -> tuple[int, int]:
        """Number of random bytes that dropout needs in a step: for h of all hops, and for u before the classifier."""
        size, hidden = self.layout.shapes["hop_image"][1:]
        return self.config.hops * slots.rows * regions * size, slots.rows * hidden

    def logits(self, batch: Batch, questions: Questions, random: tuple[Tensor, Tensor] | None) -> Tensor:
        """Computes the logits [W, S, A] of a batch.

        Args:
            batch: features and questions.
            questions: the distinct questions of the data set.
            random: random bytes (uint8) for dropout of h and of u, see `random_bytes`; None in evaluation.
        """
        blocks, masks = self.blocks, None
        images, count = batch.features.shape[:2]
        weights = HopWeights(*(blocks[name] for name in HOP_BLOCKS))
        if random is not None:
            hops, size = weights.w_score.shape[1:]
            masks = HopMasks(random[0].view(hops, images, -1, count, size), self.thresholds)
            # Dropout multiplies h by its scale. W_P is multiplied instead, which gives the same and is smaller than h.
            scaled = weights.w_score * self.dropout_scales.view(-1, 1, 1)
            weights = weights._replace(w_score=scaled.to(weights.w_score.dtype))
        query = self._encode(batch, questions)
        bounded = self.config.attention == "bounded"
        last = attend(batch.features, query, blocks["image"], weights, masks=masks, bounded=bounded)
        if random is not None:
            mask = random[1].view(1, *last.shape[1:]) >= self.thresholds.view(-1, 1, 1)
            last = (last * mask * self.dropout_scales.view(-1, 1, 1)).to(last.dtype)
        logits = torch.baddbmm(blocks["classify_bias"].unsqueeze(1), last, blocks["classify"].transpose(1, 2))
        return logits[:, :, : self.layout.sizes.answers].to(self.weights.dtype)

    def _encode(self, batch: Batch, questions: Questions) -> Tensor:
        words = questions.words.index_select(0, batch.questions)
        if self.config.question_encoder == "cnn":
            return cnn(self.blocks, words, questions.lengths.index_select(0, batch.questions))
        is_word = questions.is_word.index_select(0, batch.questions)
        return lstm(self.blocks, words.t().contiguous(), is_word.t().contiguous())
