"""The output of a layer as a grid of regions."""

from dataclasses import dataclass
from math import isqrt

from torch import Tensor

from san_core.errors import InputError

FIRST, LAST, TOKENS = "channels first", "channels last", "tokens"


@dataclass(frozen=True)
class Regions:
    """What a layer gives for images of one size.

    Shapes: B batch, E edge, C channels, T tokens that stand for no place in the image.

    Attributes:
        layer: name of the layer.
        channels: C, the length of a region vector.
        edge: E, the number of regions along an edge of the image.
        axes: order of the output's axes: `FIRST` [B, C, E, E], `LAST` [B, E, E, C] or `TOKENS` [B, T + E * E, C].
        special_tokens: T, class and register tokens. They come before those of the patches, and are left out.
    """

    layer: str
    channels: int
    edge: int
    axes: str = FIRST
    special_tokens: int = 0

    def to_grid(self, output: Tensor) -> Tensor:
        """The output of the layer as a feature map [B, C, E, E], for images of any size."""
        if self.axes == FIRST:
            return output
        if self.axes == LAST:
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.special_tokens :].transpose(1, 2)
        edge = isqrt(patches.shape[2])
        return patches.reshape(*patches.shape[:2], edge, edge)

    def grid(self, wanted: int | None, encoder: str, image_size: int) -> int:
        """The edge of the regions after pooling: `wanted`, or that of the layer.

        Args:
            wanted: from 1 (the whole image as one region) to the layer's edge; None for the latter.
            encoder: its name, for the error.
            image_size: edge of the images in pixels, for the error.

        Raises:
            InputError: if the layer does not give so many regions.
        """
        if wanted is not None and not 1 <= wanted <= self.edge:
            raise InputError(
                f"grid {wanted} is not one that layer {self.layer} of {encoder} can give at image size {image_size}; "
                f"accepted: 1 to {self.edge}"
            )
        return self.edge if wanted is None else wanted


def find_regions(layer: str, shape: tuple[int, ...], special_tokens: int) -> Regions | None:
    """How the output of a layer is a grid of regions; None if it is none.

    Args:
        layer: name of the layer.
        shape: shape of its output for a batch of one square image.
        special_tokens: how many class and register tokens the network has.
    """
    if len(shape) == 4:
        _, first, second, third = shape
        if second == third:
            return Regions(layer, first, second)
        return Regions(layer, third, first, LAST) if first == second else None
    if len(shape) == 3:
        _, tokens, channels = shape
        for special in (special_tokens, 0, 1):  # 1: a class token that the network does not tell of
            edge = isqrt(max(0, tokens - special))
            if edge > 0 and edge**2 == tokens - special:
                return Regions(layer, channels, edge, TOKENS, special)
    return None
