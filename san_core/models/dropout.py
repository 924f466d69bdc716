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
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped_levels = min(round(share * _LEVELS), _LEVELS - 1)

    def forward(self, activations: Tensor) -> Tensor:
        """Activations of any shape; unchanged in evaluation."""
        if not self.training or self.dropped_levels == 0:
            return activations
        count = activations.numel()
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=activations.device)
        words.random_(-(2**63), None)  # all 64 bits; the default range leaves the sign bit 0
        kept = words.view(torch.uint8)[:count].view(activations.shape) >= self.dropped_levels
        return activations * kept * (_LEVELS / (_LEVELS - self.dropped_levels))
