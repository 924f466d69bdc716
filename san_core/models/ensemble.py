"""Several trained networks that answer together."""

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from san_core.models.image_encoder import ImageEncoder
from san_core.models.san import SAN


class Ensemble(nn.Module):
    """Answers with the mean of its members' probabilities (Lakshminarayanan et al., NIPS 2017).

    The members are networks of one configuration, trained under different seeds. The shapes are those of `SAN`.

    Args:
        members: the networks.
        image_encoder: encodes each image once for all members; None if they take prepared region features, or each has
            an image encoder of its own (fine-tuning).
    """

    def __init__(self, members: Sequence[SAN], image_encoder: ImageEncoder | None = None) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.members = nn.ModuleList(members)

    def __iter__(self) -> Iterator[SAN]:
        return iter(cast("Sequence[SAN]", self.members))

    def forward(self, images: Tensor, image_rows: Tensor, tokens: Tensor, question_rows: Tensor) -> Tensor:
        """Returns the logits [B, A], see `ensemble_logits`. Arguments as for `SAN.attend`."""
        return self.attend(images, image_rows, tokens, question_rows)[0]

    def attend(
        self, images: Tensor, image_rows: Tensor, tokens: Tensor, question_rows: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns the logits [B, A], and for each hop the mean of the members' attention [B, R].

        Arguments as for `SAN.attend`.
        """
        inputs = images if self.image_encoder is None else self.image_encoder(images)
        replies = [member.attend(inputs, image_rows, tokens, question_rows) for member in self]
        by_hop = zip(*(attention for _, attention in replies), strict=True)
        return (
            ensemble_logits([logits for logits, _ in replies]),
            [torch.stack(of_hop).float().mean(dim=0) for of_hop in by_hop],
        )


def ensemble_logits(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of several networks' probabilities: softmax gives the mean back.

    Args:
        logits: of each network [B, A].

    Returns:
        Logits of the ensemble, float32 [B, A].
    """
    log_probabilities = torch.stack([each.float().log_softmax(dim=1) for each in logits])
    return log_probabilities.logsumexp(dim=0) - math.log(len(logits))
