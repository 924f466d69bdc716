"""The network of W members: their weights in one flat buffer, and the forward pass to the logits.

Shapes: W members, P row length, S slots of a batch, I images, R regions, C channels, H hidden, A answers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from san_core.cohort.attention import HopMasks, HopWeights, attend
from san_core.cohort.batches import Batch, Slots
from san_core.cohort.data import Questions
from san_core.cohort.layout import MAP, Layout
from san_core.cohort.questions import cnn, lstm
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.models.dropout import dropout_scale, dropout_threshold

SHARED_FIELDS = (
    "batch_size",
    "epochs_per_pass",
    "questions_per_image",
    "hops",
    "question_encoder",
    "attention",
    "answer_target",
    "clip_by",
    "precision",
    "embedding_init",
    "order_seed",
)
"""Training settings that must be the same for all members of a cohort."""

HOP_BLOCKS = ("hop_image", "hop_query", "hop_query_bias", "hop_score", "hop_score_bias")
"""Names of the blocks for `HopWeights`, in the order of its fields."""


SIZE_FIELDS = ("embedding_size", "hidden_size", "attention_size")
"""Sizes that may differ between members, up to the largest."""

OPTIONAL_FIELDS = ("clip_norm", "dropout", "feature_dropout")
"""What a step leaves out where the largest configuration has 0."""


def check_member(config: TrainingConfig, largest: TrainingConfig) -> None:
    """Refuses a member that a cohort has no room for.

    Args:
        config: of the member.
        largest: settings that all members have alike, and the largest sizes that a member may have.

    Raises:
        InputError: naming the first setting that does not fit.
    """
    for name in SHARED_FIELDS:
        own = "batch_seed" if name == "order_seed" else name  # without order_seed the seed takes its place
        if (found := getattr(config, own)) != (shared := getattr(largest, own)):
            raise InputError(f"{name} must be {shared} as for all members of the cohort, but got {found}")
    for name in SIZE_FIELDS:
        if (found := getattr(config, name)) > (most := getattr(largest, name)):
            raise InputError(f"{name} must be at most {most}, the largest in the cohort, but got {found}")
    for name in OPTIONAL_FIELDS:
        if (found := getattr(config, name)) > 0 and getattr(largest, name) == 0:
            raise InputError(f"{name} must be 0 as in the largest configuration of the cohort, but got {found}")


class Network:
    """The weights of W members, and the forward pass.

    It is made without members: all weights are 0.

    Args:
        width: W.
        layout: of the rows.
        device: where the weights lie.
        dtype: of the weights and their updates: float32, or float64 in tests.
        working: of the products: bfloat16, or `dtype`.

    Attributes:
        config: what all members have alike, and the largest sizes.
        weights: [W, P], of `dtype`.
        working: the same in the type of the products; the same tensor where the types are equal.
        blocks: views [W, ...] of `working` that gradients are taken of, by name.
        active: members that are trained [W, 1] (bool): not a slot without member, nor one whose loss is no number.
        thresholds: dropout's thresholds [W] (int32).
        dropout_scales: factor for the activations that dropout keeps [W].
        channel_thresholds: thresholds of feature dropout [W, 1] (int32).
        channel_scales: factor for the channels that it keeps [W, 1].
        projects: whether a member projects its word vectors [W, 1, 1] (bool).
        has_dropout: whether any member may have dropout.
    """

    def __init__(
        self,
        width: int,
        layout: Layout,
        device: torch.device,
        *,
        dtype: torch.dtype = torch.float32,
        working: torch.dtype | None = None,
    ) -> None:
        self.config, self.layout = layout.largest, layout
        shape = (width, layout.row_length)
        self.weights = torch.zeros(shape, dtype=dtype, device=device)
        self.working = self.weights if working in {None, dtype} else torch.zeros(shape, dtype=working, device=device)
        self.blocks = {name: view.detach().requires_grad_() for name, view in layout.views(self.working).items()}
        self.active = torch.zeros(width, 1, dtype=torch.bool, device=device)
        self.thresholds = torch.zeros(width, dtype=torch.int32, device=device)
        self.dropout_scales = torch.ones(width, dtype=dtype, device=device)
        self.channel_thresholds = torch.zeros(width, 1, dtype=torch.int32, device=device)
        self.channel_scales = torch.ones(width, 1, dtype=dtype, device=device)
        self.projects = torch.ones(width, 1, 1, dtype=torch.bool, device=device)
        self._identity = torch.eye(*layout.shapes.get(MAP, (0, 0)), dtype=self.working.dtype, device=device)
        self.has_dropout = self.config.dropout > 0

    def set_members(self, configs: Sequence[TrainingConfig]) -> None:
        """Takes from each slot's configuration what the logits depend on besides the weights."""
        self.set_dropout([config.dropout for config in configs])
        self.set_feature_dropout([config.feature_dropout for config in configs])
        self.projects.copy_(torch.tensor([self.layout.has_projection(config) for config in configs]).view(-1, 1, 1))

    def set_dropout(self, shares: Sequence[float]) -> None:
        """Sets the share of activations that each member drops, in [0, 1)."""
        _fill(self.thresholds, self.dropout_scales, shares)

    def set_feature_dropout(self, shares: Sequence[float]) -> None:
        """Sets the share of the features' channels that each member drops, in [0, 1)."""
        _fill(self.channel_thresholds, self.channel_scales, shares)

    def random_bytes(self, slots: Slots, regions: int) -> tuple[int, int]:
        """Number of random bytes that dropout needs in a step: for h of all hops, and for u before the classifier."""
        size, hidden = self.layout.shapes["hop_image"][1:]
        return self.config.hops * slots.rows * regions * size, slots.rows * hidden

    def logits(
        self,
        batch: Batch,
        questions: Questions,
        random: tuple[Tensor, Tensor] | None = None,
        channel_bytes: Tensor | None = None,
    ) -> Tensor:
        """Computes the logits [W, S, A] of a batch.

        Args:
            batch: features and questions.
            questions: the distinct questions of the data set.
            random: random bytes (uint8) for dropout of h and of u, see `random_bytes`; None in evaluation.
            channel_bytes: random bytes of feature dropout [C]; None in evaluation.
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
        last = attend(
            batch.features,
            query,
            blocks["image"],
            weights,
            masks=masks,
            channel_factors=self._channel_factors(channel_bytes),
            bounded=bounded,
        )
        if random is not None:
            mask = random[1].view(1, *last.shape[1:]) >= self.thresholds.view(-1, 1, 1)
            last = (last * mask * self.dropout_scales.view(-1, 1, 1)).to(last.dtype)
        logits = torch.baddbmm(blocks["classify_bias"].unsqueeze(1), last, blocks["classify"].transpose(1, 2))
        return logits[:, :, : self.layout.sizes.answers].to(self.weights.dtype)

    def _channel_factors(self, channel_bytes: Tensor | None) -> Tensor | None:
        """Factors of the features' channels in training [W, 1, C]: 0 or the scale, and 1 for that of the bias.

        Args:
            channel_bytes: see `logits`.
        """
        if channel_bytes is None:
            return None
        factors = (channel_bytes >= self.channel_thresholds) * self.channel_scales
        padded = self.layout.shapes["image"][1]
        return nn.functional.pad(factors, (0, padded - factors.shape[1]), value=1.0).unsqueeze(1)

    def _encode(self, batch: Batch, questions: Questions) -> Tensor:
        words, weights = questions.words.index_select(0, batch.questions), self.blocks
        if MAP in weights:
            # Who does not project takes the word vectors as they are, and its block, all 0, gets no gradient.
            weights = {**weights, MAP: torch.where(self.projects, weights[MAP], self._identity)}
        if self.config.question_encoder == "cnn":
            return cnn(weights, words, questions.lengths.index_select(0, batch.questions))
        is_word = questions.is_word.index_select(0, batch.questions)
        return lstm(weights, words.t().contiguous(), is_word.t().contiguous())


def _fill(thresholds: Tensor, scales: Tensor, shares: Sequence[float]) -> None:
    """Sets each member's threshold and scale of dropout, where they lie, to those of a share in [0, 1)."""
    found = [dropout_threshold(share) for share in shares]
    thresholds.copy_(torch.tensor(found, dtype=thresholds.dtype).view(thresholds.shape))
    scales.copy_(torch.tensor([dropout_scale(each) for each in found], dtype=scales.dtype).view(scales.shape))
