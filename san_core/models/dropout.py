"""Dropout whose mask costs little."""

import torch
from torch import Tensor, nn

_LEVELS = 256


class Dropout(nn.Module):
    """Zeroes a share of the activations in training and scales up the others, as `nn.Dropout` does.

    On a CPU `nn.Dropout` draws one number per activation on a single thread, which takes a large
    part of a SAN step. Here every 64 random bits serve eight activations, one byte each. The share
    is therefore a multiple of 1/256; the scale belongs to the share really kept, so the expected
    activation is exact.

    Args:
        share: of activations zeroed, in [0, 1).

    Attributes:
        scale: what the activations kept are multiplied by.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped_levels = min(round(share * _LEVELS), _LEVELS - 1)
        self.scale = _LEVELS / (_LEVELS - self.dropped_levels)

    @property
    def active(self) -> bool:
        """Whether anything is dropped now."""
        return self.training and self.dropped_levels > 0

    def draw(self, activations: Tensor) -> Tensor:
        """A mask of the activations' shape and type: 1 where one is kept, 0 where it is dropped."""
        count = activations.numel()
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=activations.device)
        words.random_(-(2**63), None)  # all 64 bits; the default range leaves the sign bit 0
        levels = words.view(torch.uint8)[:count].view(activations.shape)
        kept = torch.empty(activations.shape, dtype=activations.dtype, device=activations.device)
        return torch.ge(levels, self.dropped_levels, out=kept)

    def forward(self, activations: Tensor) -> Tensor:
        """Activations of any shape; unchanged in evaluation."""
        return activations * self.draw(activations) * self.scale if self.active else activations
