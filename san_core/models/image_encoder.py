"""Encodes images as regions: the part of a convolutional network whose output is a grid of vectors."""

import torch
from torch import Tensor, nn

from san_core.errors import InputError
from san_core.models.architectures import ARCHITECTURES, Architecture, Layer


class ImageEncoder(nn.Module):
    """A convolutional network that turns pixels into region vectors.

    It stays in evaluation mode also while it is fine-tuned, unless its batch normalisation is to be trained: the
    statistics are those of ImageNet, and a few thousand images may make them worse.

    Shapes: B batch, S image size in pixels, R regions (row by row from the top left), C channels.

    Args:
        layers: network from pixels [B, 3, S, S] to a feature map [B, C, edge, edge].
        mean, std: mean and standard deviation for the normalisation of pixels in [0, 1].
        grid: edge that the feature map is average-pooled to; None keeps it as it is.

    Attributes:
        train_batch_norm: whether the next `train()` puts the layers into training mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, layers: nn.Module, *, mean: tuple[float, ...], std: tuple[float, ...], grid: int | None = None
    ) -> None:
        super().__init__()
        self.layers = layers.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.grid = grid
        self.train_batch_norm = False
        self.eval()

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Keeps evaluation mode for any `mode`, unless batch normalisation is to be trained."""
        return super().train(mode and self.train_batch_norm)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encodes pixels [B, S, S, 3] (uint8, RGB) as regions [B, R, C]."""
        normalised = (pixels.float() / 255 - self.mean) / self.std
        feature_map: Tensor = self.layers(normalised.permute(0, 3, 1, 2))
        if self.grid not in (None, feature_map.shape[-1]):
            feature_map = nn.functional.adaptive_avg_pool2d(feature_map, self.grid)
        return feature_map.flatten(2).transpose(1, 2)


def build_image_encoder(
    name: str, *, layer: str | None = None, grid: int | None = None, pretrained: bool = True
) -> ImageEncoder:
    """Builds the encoder called `name` up to one of its layers, by default with ImageNet weights.

    Args:
        name: see `architectures.ARCHITECTURES`.
        layer: the layer whose output is the regions; None takes the last.
        grid: edge of the grid of regions; `regions` checks whether the images are large enough for it.
        pretrained: whether to load ImageNet weights, if there are any for it.

    Raises:
        InputError: if the name or layer is unknown, or the weights can be neither found nor downloaded.
    """
    architecture = architecture_of(name)
    layers = architecture.build(layer_of(name, layer).name)
    if pretrained and architecture.load_weights:
        weights = architecture.load_weights()
        names = layers.state_dict().keys()  # without the layers behind the chosen one
        layers.load_state_dict({name: value for name, value in weights.items() if name in names})
    return ImageEncoder(layers, mean=architecture.mean, std=architecture.std, grid=grid)


def architecture_of(name: str) -> Architecture:
    """Returns the architecture called `name`.

    Raises:
        InputError: if there is none of that name.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"unknown image encoder {name!r}; accepted: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def layer_of(name: str, layer: str | None = None) -> Layer:
    """Returns a layer of an encoder by name; None takes the last.

    Raises:
        InputError: if the encoder or layer is unknown.
    """
    layers = {known.name: known for known in architecture_of(name).layers}
    if layer is None:
        return list(layers.values())[-1]
    if layer not in layers:
        raise InputError(f"image encoder {name} has no layer {layer!r}; accepted: {', '.join(layers)}")
    return layers[layer]


def regions(name: str, layer: str | None, grid: int | None, image_size: int) -> int:
    """Returns the edge N of the N x N regions that an encoder gives.

    Args:
        name: see `architectures.ARCHITECTURES`.
        layer: see `layer_of`.
        grid: the edge to pool to, from 1 (the whole image as one region) to that of the layer; None for the latter.
        image_size: edge of the images in pixels, at least the stride of the layer.

    Raises:
        InputError: if the encoder or layer is unknown, the image is too small or the grid too fine.
    """
    chosen = layer_of(name, layer)
    if image_size < chosen.stride:
        raise InputError(
            f"image size {image_size} is too small for layer {chosen.name} of {name}; "
            f"accepted: >= {chosen.stride} pixels"
        )
    partial = 1 if architecture_of(name).rounds_up and image_size % chosen.stride else 0
    edge = image_size // chosen.stride + partial
    if grid is not None and not 1 <= grid <= edge:
        raise InputError(
            f"grid {grid} is not one that layer {chosen.name} of {name} can give at image size {image_size}; "
            f"accepted: 1 to {edge}"
        )
    return edge if grid is None else grid
