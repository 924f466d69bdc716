"""Finds the layers of a network that can be the regions, and cuts the network off behind one of them, by `torch.fx`.

The networks that are only looked at are on the meta device: shapes without numbers, nothing is computed.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from san_core.models.regions import Regions, find_regions

OUTPUT = "regions"
"""Key of the layer's output in what a network that `cut_behind` returned gives."""

Tracing = Mapping[str, Any]
"""Arguments with which a library has `torch.fx` trace its networks."""

_CHANGES_NOTHING = (nn.Identity, nn.Dropout, nn.AdaptiveAvgPool2d)
"""Modules that come after the last layer worth a name: they do nothing in evaluation mode, or pool for a classifier."""


def node_names(network: nn.Module, tracing: Tracing) -> list[str]:
    """Names of all that a network computes in evaluation mode, in this order."""
    return _node_names(network, tracing)[1]


def cut_behind(network: nn.Module, layer: str, tracing: Tracing) -> nn.Module:
    """The part of a network that computes a layer, with the same weights; it returns {OUTPUT: output of the layer}."""
    from torchvision.models.feature_extraction import create_feature_extractor

    with _quietly():
        part: nn.Module = create_feature_extractor(network, {layer: OUTPUT}, tracer_kwargs=dict(tracing))
    return part.eval()


def regions_of(network: nn.Module, layer: str, size: int, tracing: Tracing) -> Regions | None:
    """What a layer gives for images of a size; None if it gives neither a grid nor tokens."""
    part = cut_behind(network, layer, tracing)
    output = _run(part, size)[OUTPUT]
    found = _as_regions(network, layer, output)
    if found is None or set(output.shape[1:]) != {found.edge}:
        return found
    # As many channels as regions along an edge: another size tells which axis is which.
    larger = _as_regions(network, layer, _run(part, 2 * size)[OUTPUT])
    return found if larger is None else Regions(layer, found.channels, found.edge, larger.axes)


def all_regions(network: nn.Module, size: int, tracing: Tracing) -> dict[str, Regions]:
    """What each layer gives that can be the regions, in the order of the computation."""
    from torchvision.models.feature_extraction import create_feature_extractor

    training, names = _node_names(network, tracing)
    with _quietly():
        part = create_feature_extractor(
            network,
            train_return_nodes=training[:1],  # not used, but the function wants some
            eval_return_nodes=names,
            tracer_kwargs=dict(tracing),
        )
    found = {name: _as_regions(network, name, output) for name, output in _run(part.eval(), size).items()}
    return {name: regions for name, regions in list(found.items())[1:] if regions is not None}  # the first is the image


def last_layer(network: nn.Module, layers: dict[str, Regions], names: Sequence[str], head: tuple[str, ...]) -> str:
    """The last layer that gives more than one region and comes before the classifier, by its shortest name.

    Args:
        network: the network.
        layers: what `all_regions` found.
        names: what `node_names` found.
        head: names of the parts that classify, as far as their outputs could be regions.

    Raises:
        ValueError: if there is none.
    """
    modules = dict(network.named_modules())
    for name in reversed(layers):
        if (
            layers[name].edge > 1
            and name.split(".")[0] not in head
            and not isinstance(modules.get(name), _CHANGES_NOTHING)
        ):
            return shortest_name(name, names)
    raise ValueError("it gives neither a grid nor tokens")


def shortest_name(name: str, names: Sequence[str]) -> str:
    """The outermost part of a network whose last computation is `name`: `layer4` for `layer4.2.relu_2`."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        outer = ".".join(parts[:length])
        if next(other for other in reversed(names) if f"{other}.".startswith(f"{outer}.")) == name:
            return outer
    return name


def _node_names(network: nn.Module, tracing: Tracing) -> tuple[list[str], list[str]]:
    from torchvision.models.feature_extraction import get_graph_node_names

    with _quietly():
        training, evaluation = get_graph_node_names(network, tracer_kwargs=dict(tracing))
    return training, evaluation


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torchvision's warning that training mode computes something else; the encoder is in evaluation mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _run(network: nn.Module, size: int) -> dict[str, Any]:
    # Not by calling the network: if it failed, fx would print where in the code that it has written.
    outputs: dict[str, Any] = network.forward(torch.zeros(1, 3, size, size, device="meta"))
    return outputs


def _as_regions(network: nn.Module, layer: str, output: object) -> Regions | None:
    if not isinstance(output, Tensor):
        return None
    is_patches = layer.split(".")[0] == "patch_embed"  # no special tokens yet
    return find_regions(layer, tuple(output.shape), 0 if is_patches else _special_tokens(network))


def _special_tokens(network: nn.Module) -> int:
    """How many class and register tokens come before those of the patches, as far as the network tells."""
    of_timm: int | None = getattr(network, "num_prefix_tokens", None)
    return int(hasattr(network, "class_token")) if of_timm is None else of_timm
