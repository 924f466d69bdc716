"""Images as regions: the part of a convolutional network that keeps the picture's grid."""

import torch
from torch import Tensor, nn

from san_core.errors import InputError
from san_core.models.architectures import ARCHITECTURES, Architecture, Layer

__all__ = ["ARCHITECTURES", "ImageEncoder", "architecture_of", "build_image_encoder", "layer_of", "regions"]


class ImageEncoder(nn.Module):
    """A convolutional network that turns pixels into region vectors.

    It stays in evaluation mode, also while it is fine-tuned, unless its batch normalisation is to be
    trained: those statistics belong to ImageNet, and a few thousand images may spoil them.

    Shapes: B batch, S image size in pixels, R regions (row by row from the top left), C channels.

    Args:
        layers: pixels [B, 3, S, S] to a feature map [B, C, edge, edge].
        mean, std: subtracted from and divided by, for pixels in [0, 1].
        grid: edge that the feature map is brought to by averaging; None keeps its own.

    Attributes:
        train_batch_norm: whether `train()` puts the layers into training mode. It acts at the next `train()`.
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
        """Keeps evaluation mode whatever is asked, unless batch normalisation is to be trained."""
        return super().train(mode and self.train_batch_norm)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [B, S, S, 3] (uint8, RGB) to regions [B, R, C]."""
        normalised = (pixels.float() / 255 - self.mean) / self.std
        feature_map: Tensor = self.layers(normalised.permute(0, 3, 1, 2))
        if self.grid not in (None, feature_map.shape[-1]):
            feature_map = nn.functional.adaptive_avg_pool2d(feature_map, self.grid)
        return feature_map.flatten(2).transpose(1, 2)


def build_image_encoder(
    name: str, *, layer: str | None = None, grid: int | None = None, pretrained: bool = True
) -> ImageEncoder:
    """The encoder called `name` up to one of its layers, with ImageNet weights unless told otherwise.

    Args:
        name: see `ARCHITECTURES`.
        layer: whose output the regions are; None takes the last.
        grid: edge of the grid of regions; see `regions`, which also tells whether the images are large enough.
        pretrained: whether it gets ImageNet weights, where there are any for it.

    Raises:
        InputError: for an unknown name or layer, or where weights can be neither found nor downloaded.
    """
    architecture = architecture_of(name)
    layers = architecture.build(layer_of(name, layer).name)
    if pretrained and architecture.weights:
        weights = architecture.load_weights()
        kept = layers.state_dict().keys()
        layers.load_state_dict({key: value for key, value in weights.items() if key in kept})
    return ImageEncoder(layers, mean=architecture.mean, std=architecture.std, grid=grid)


def architecture_of(name: str) -> Architecture:
    """The architecture called `name`.

    Raises:
        InputError: if there is none.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"unknown image encoder {name!r}; accepted: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def layer_of(name: str, layer: str | None = None) -> Layer:
    """An encoder's layer by name, the last if None.

    Raises:
        InputError: for an unknown encoder, or a layer it does not offer.
    """
    layers = {known.name: known for known in architecture_of(name).layers}
    if layer is None:
        return list(layers.values())[-1]
    if layer not in layers:
        raise InputError(f"image encoder {name} has no layer {layer!r}; accepted: {', '.join(layers)}")
    return layers[layer]


def regions(name: str, layer: str | None, grid: int | None, image_size: int) -> int:
    """Edge N of the N x N regions that an encoder gives.

    Args:
        name: see `ARCHITECTURES`.
        layer: as for `layer_of`.
        grid: the edge asked for, 1 (the whole image as one region) to the layer's own; None for its own.
        image_size: edge of the images, in pixels, >= the layer's stride.

    Raises:
        InputError: for an unknown encoder or layer, an image too small or a grid too fine.
    """
    chosen = layer_of(name, layer)
    if image_size < chosen.stride:
        raise InputError(
            f"image size {image_size} is too small for layer {chosen.name} of {name}; "
            f"accepted: >= {chosen.stride} pixels"
        )
    partly = 1 if architecture_of(name).rounds_up and image_size % chosen.stride else 0
    own = image_size // chosen.stride + partly
    if grid is not None and not 1 <= grid <= own:
        raise InputError(
            f"grid {grid} is not one that layer {chosen.name} of {name} can give at image size {image_size}; "
            f"accepted: 1 to {own}"
        )
    return own if grid is None else grid
