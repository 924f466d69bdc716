"""Encodes images as regions: the part of a network whose output is a grid of vectors."""

from pathlib import Path

import torch
from torch import Tensor, nn

from san_core.models.encoders import find_encoder
from san_core.models.layers import OUTPUT
from san_core.models.regions import Regions


class ImageEncoder(nn.Module):
    """A network that turns pixels into region vectors.

    It stays in evaluation mode also while it is fine-tuned, unless its batch normalisation is to be trained: the
    statistics are those of ImageNet, and a few thousand images may make them worse.

    Shapes: B batch, S image size in pixels, R regions (row by row from the top left), C channels.

    Args:
        layers: network from pixels [B, 3, S, S] to a feature map [B, C, edge, edge], or to {OUTPUT: output} where it is
            a part of a library's network.
        mean, std: mean and standard deviation for the normalisation of pixels in [0, 1].
        grid: edge that the feature map is average-pooled to; None keeps it as it is.
        regions: what the layers give: C, and how the output of a library's network is a feature map.

    Attributes:
        train_batch_norm: whether the next `train()` puts the layers into training mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layers: nn.Module,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        grid: int | None = None,
        regions: Regions | None = None,
    ) -> None:
        super().__init__()
        for tensor in (*layers.parameters(), *layers.buffers()):
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        self.layers = layers
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.grid = grid
        self.regions = regions
        self.train_batch_norm = False
        self.eval()

    @property
    def channels(self) -> int:
        """C, the length of a region vector.

        Raises:
            ValueError: if it was built without `regions`.
        """
        if self.regions is None:
            raise ValueError("an encoder built without regions does not know how many channels it gives")
        return self.regions.channels

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Keeps evaluation mode for any `mode`, unless batch normalisation is to be trained."""
        return super().train(mode and self.train_batch_norm)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encodes pixels [B, S, S, 3] (uint8, RGB) as regions [B, R, C]."""
        normalised = (pixels.float() / 255 - self.mean) / self.std
        output = self.layers(normalised.permute(0, 3, 1, 2))
        feature_map: Tensor = output
        if isinstance(output, dict) and self.regions is not None:
            feature_map = self.regions.to_grid(output[OUTPUT])
        if self.grid not in (None, feature_map.shape[-1]):
            feature_map = nn.functional.adaptive_avg_pool2d(feature_map, self.grid)
        return feature_map.flatten(2).transpose(1, 2)


def build_image_encoder(
    name: str,
    *,
    layer: str | None = None,
    grid: int | None = None,
    image_size: int | None = None,
    weights: Path | None = None,
    pretrained: bool = True,
) -> ImageEncoder:
    """Builds the encoder called `name` up to one of its layers, by default with pretrained weights.

    Args:
        name: see `encoders.find_encoder`.
        layer: the layer whose output is the regions; None takes the last.
        grid: edge of the grid of regions; `regions` checks whether the images are large enough for it.
        image_size: edge of the images in pixels, which some networks are built for; None takes that of their training.
        weights: file of weights to load in place of the pretrained ones.
        pretrained: whether to load weights, if there are any for it.

    Raises:
        InputError: if the name or layer is unknown, or the weights can be neither found nor downloaded.
    """
    known = find_encoder(name)
    regions = known.regions(layer, image_size)
    file = (weights or known.weights_file()) if pretrained else None
    layers = known.up_to(regions.layer, image_size, file)
    return ImageEncoder(layers, mean=known.mean, std=known.std, grid=grid, regions=regions)


def regions(name: str, layer: str | None, grid: int | None, image_size: int) -> int:
    """Returns the edge N of the N x N regions that an encoder gives.

    Args:
        name: see `encoders.find_encoder`.
        layer: name of the layer; None takes the last.
        grid: the edge to pool to, from 1 (the whole image as one region) to that of the layer; None for the latter.
        image_size: edge of the images in pixels.

    Raises:
        InputError: if the encoder or layer is unknown, the image is too small or the grid too fine.
    """
    return find_encoder(name).regions(layer, image_size).grid(grid, name, image_size)
