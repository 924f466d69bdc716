"""Dropout with a mask that is cheap to draw on a CPU, and dropout of whole channels."""

import torch
from torch import Tensor, nn

_BYTE_VALUES = 256


def dropout_threshold(share: float) -> int:
    """Number of byte values, of 256, for which an activation is dropped; `share` is in [0, 1)."""
    return min(round(share * _BYTE_VALUES), _BYTE_VALUES - 1)


def dropout_scale(threshold: int) -> float:
    """The factor of the kept activations, with which the expected value of an activation stays the same."""
    return _BYTE_VALUES / (_BYTE_VALUES - threshold)


def draw_bytes(count: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Draws random bytes [count] (uint8), eight with each 64-bit number; None is PyTorch's default generator."""
    words = torch.empty(-(-count // 8), dtype=torch.int64, device=device)
    words.random_(-(2**63), None, generator=generator)  # all 64 bits; the default range leaves the sign bit 0
    return words.view(torch.uint8)[:count]


class _Drops(nn.Module):
    """What both kinds of dropout share: the share, as a threshold of random bytes, and when it applies.

    Args:
        share: share to zero, in [0, 1).

    Attributes:
        threshold: number of byte values, of 256, for which something is dropped.
        scale: factor of what is kept.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.threshold = dropout_threshold(share)
        self.scale = dropout_scale(self.threshold)

    @property
    def active(self) -> bool:
        """Whether anything is dropped: in training, if the share is not 0."""
        return self.training and self.threshold > 0


class Dropout(_Drops):
    """Zeroes a share of the activations in training and scales up the others, as `nn.Dropout` does.

    On a CPU `nn.Dropout` draws one random number per activation on a single thread, which takes a large part of a
    SAN training step. This class draws one random byte per activation, eight with each 64-bit number. An activation
    is dropped if its byte is below a threshold, so the share is rounded to a multiple of 1/256. The scale belongs to
    the rounded share, so the expected value of an activation stays the same.

    Args:
        share: share of activations to zero, in [0, 1).

    Attributes:
        threshold: number of byte values, of 256, for which an activation is dropped.
        scale: factor of the kept activations.
    """

    def draw_mask(self, activations: Tensor) -> Tensor:
        """Draws a mask of the activations' shape and type: 1 where an activation is kept, 0 where it is dropped."""
        random_bytes = draw_bytes(activations.numel(), activations.device).view(activations.shape)
        mask = torch.empty(activations.shape, dtype=activations.dtype, device=activations.device)
        return torch.ge(random_bytes, self.threshold, out=mask)

    def forward(self, activations: Tensor) -> Tensor:
        """Applies dropout to activations of any shape; returns them unchanged in evaluation."""
        return activations * self.draw_mask(activations) * self.scale if self.active else activations


class ChannelDropout(_Drops):
    """Zeroes a share of a layer's input channels in training and scales up the others, alike for a whole batch.

    A channel is zeroed at all places of an image, as SpatialDropout does (Tompson et al., "Efficient Object
    Localization Using Convolutional Networks", CVPR 2015): places beside each other are so alike that a channel zeroed
    at one of them is known from the other. Unlike there, all images of a batch share the mask. So columns of the
    layer's weight can be multiplied instead of its input, which is larger: W (m * x) = (W * m) x.

    Args:
        share: share of channels to zero, in [0, 1); rounded as in `Dropout`.

    Attributes:
        threshold, scale: see `Dropout`.
    """

    def forward(self, weight: Tensor, random_bytes: Tensor | None = None) -> Tensor:
        """Zeroes and scales columns of a layer's weight [H, C]; returns it unchanged in evaluation.

        Args:
            weight: the weight; columns that are zeroed get no gradient.
            random_bytes: random bytes [C] that decide which (uint8); None draws them.
        """
        if not self.active:
            return weight
        if random_bytes is None:
            random_bytes = draw_bytes(weight.shape[1], weight.device)
        return weight * (random_bytes >= self.threshold).to(weight.dtype).mul_(self.scale)
