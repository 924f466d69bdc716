"""torchvision's classification networks as image encoders, `torchvision:NAME`.

torchvision is imported only when one is looked for: training on prepared features starts faster without it.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from san_core.errors import InputError
from san_core.models.library_network import LISTS, LibraryNetwork, near
from san_core.models.weights_files import Weights, torchs_file

PREFIX = "torchvision:"

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
"""Names in the files of DenseNets, which torchvision's own loading changes too."""


def names() -> list[str]:
    """The names of all networks, without prefix; each with each of its weights: `resnet50.IMAGENET1K_V2`."""
    from torchvision.models import get_model_weights

    return [f"{name}.{weights.name}" for name in _networks() for weights in get_model_weights(name)]


def find(name: str) -> LibraryNetwork:
    """Returns the network of a name, without the prefix; where no weights are named, with torchvision's default ones.

    Raises:
        InputError: if there is none of that name.
    """
    from torchvision.models import get_model_weights

    network, _, version = name.partition(".")
    if network not in _networks():
        known = near(network, _networks())
        raise InputError(f"unknown image encoder {PREFIX}{name}; {known}{LISTS} {PREFIX} lists them")
    versions = get_model_weights(network)
    if version and version not in versions.__members__:
        known = ", ".join(weights.name for weights in versions)
        raise InputError(f"{PREFIX}{network} has no weights {version}; accepted: {known}")
    weights = versions[version] if version else versions.DEFAULT
    return of_weights(network, weights)


def of_weights(network: str, weights: Any) -> LibraryNetwork:  # noqa: ANN401 - torchvision has no types
    """The network of a name with weights, a member of torchvision's enumeration."""
    transforms = weights.transforms()
    file = weights.url.rpartition("/")[2]
    return LibraryNetwork(
        name=f"{PREFIX}{network}.{weights.name}",
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        image_size=transforms.crop_size[0],
        build=partial(_build, network),
        find_weights=partial(torchs_file, weights.url),
        weights=Path(file).stem,
        convert=_convert,
    )


def _networks() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))


def _build(network: str, image_size: int) -> nn.Module:
    from torchvision.models import get_model

    # What torchvision's function sets itself where it is given the weights; it would load them without weights_only.
    settings: Mapping[str, Any] = {}
    if network.startswith("vit_"):
        settings = {"image_size": image_size}
    elif network.startswith("maxvit"):
        settings = {"input_size": (image_size, image_size)}
    elif network in ("googlenet", "inception_v3"):
        settings = {"transform_input": True, "aux_logits": True, "init_weights": False}
    built: nn.Module = get_model(network, **settings)
    return built


def _convert(network: nn.Module, weights: Weights) -> Weights:
    """Gives weights the names of today's DenseNets, and position embeddings the size of a vision transformer."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    if isinstance(network, VisionTransformer):
        fitted: Weights = interpolate_embeddings(network.image_size, network.patch_size, weights)
        return fitted
    return {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in weights.items()}
