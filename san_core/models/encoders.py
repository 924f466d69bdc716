"""Finds an image encoder by its name: one of this project, or a network of torchvision or timm."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

from torch import nn

from san_core.errors import InputError
from san_core.models import timm_networks, torchvision_networks
from san_core.models.architectures import ARCHITECTURES, Architecture
from san_core.models.library_network import LISTS, LibraryNetwork, near
from san_core.models.weights_files import Weights

Encoder = Architecture | LibraryNetwork

LIBRARIES = {
    torchvision_networks.PREFIX: torchvision_networks,
    timm_networks.PREFIX: timm_networks,
}
"""The libraries whose networks can be image encoders, by the prefix of their names."""


@dataclass(frozen=True)
class _Short:
    """A short name of a network of torchvision.

    Attributes:
        network: the network, with the version of its weights.
        layers: its layers, the default last.
        part: the part of it that is the encoder; empty for the whole.
    """

    network: str
    layers: Mapping[str, str]
    part: str = ""


SHORT_NAMES = {
    "resnet50": _Short("resnet50.IMAGENET1K_V2", {"layer3": "layer3", "layer4": "layer4"}),
    "vgg16": _Short("vgg16.IMAGENET1K_V1", {"pool4": "23", "conv5": "29", "pool5": "30"}, part="features"),
    "vgg19": _Short("vgg19.IMAGENET1K_V1", {"pool4": "27", "conv5": "35", "pool5": "36"}, part="features"),
}
"""Networks of torchvision with names of their own; images have the size that suits the data, as in the paper."""

NAMES = (*ARCHITECTURES, *SHORT_NAMES)
"""The image encoders whose names have no prefix."""


@cache
def find_encoder(name: str) -> Encoder:
    """Returns the image encoder of a name: one of `NAMES`, `torchvision:NAME` or `timm:NAME`.

    Raises:
        InputError: if there is none of that name, or the package timm is missing.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if name in SHORT_NAMES:
        return _of_short_name(name, SHORT_NAMES[name])
    for prefix, library in LIBRARIES.items():
        if name.startswith(prefix):
            found: LibraryNetwork = library.find(name.removeprefix(prefix))
            return found
    raise InputError(
        f"unknown image encoder {name!r}; {near(name, NAMES)}accepted: {', '.join(NAMES)}, torchvision:NAME, "
        f"timm:NAME; {LISTS} lists them"
    )


def _of_short_name(name: str, short: _Short) -> LibraryNetwork:
    network = torchvision_networks.find(short.network)
    return replace(
        network,
        name=name,
        image_size=None,
        build=partial(_part_of, network, short.part),
        convert=partial(_weights_of_part, short.part),
        layers=short.layers,
    )


def _part_of(network: LibraryNetwork, part: str, image_size: int) -> nn.Module:
    return network.build(image_size).get_submodule(part)


def _weights_of_part(part: str, _network: nn.Module, weights: Weights) -> Weights:
    start = f"{part}." if part else ""
    return {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
