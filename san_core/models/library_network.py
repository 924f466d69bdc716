"""A network of a library whose layers can be the regions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import torch
from torch import nn

from san_core.errors import InputError
from san_core.models.layers import (
    Tracing,
    all_regions,
    cut_behind,
    last_layer,
    node_names,
    regions_of,
    shortest_name,
)
from san_core.models.regions import Regions
from san_core.models.weights_files import Weights, read_weights

LISTS = "python -m san_core.encoders"
"""The command that lists encoders and their layers."""

_ANY_SIZE = 224
"""Size to look at the layers of a network with that takes images of any size."""

_FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError, NotImplementedError)
"""What is raised by a network that cannot be built for a size, traced, or run."""

_NEAR = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class LibraryNetwork:
    """A network of torchvision or timm with pretrained weights.

    Attributes:
        name: its name as an image encoder, with that of the weights where there are several.
        mean, std: mean and standard deviation of the images that it was trained on, for pixels in [0, 1].
        image_size: edge in pixels of the images that it was trained on; None for the size that suits the data.
        build: function that builds the network with random weights, for images of a size in pixels.
        find_weights: function that returns the file of the pretrained weights. It takes the name of the encoder, for
            its error, and whether to download a missing file.
        weights: what the pretrained weights are called, as `name_weights` takes it.
        convert: function that gives the weights of a file the names and shapes of those of the network.
        tracing: function that returns how the library has its networks traced.
        head: names of the parts that classify; the default layer comes before them.
        layers: short names of layers, the default last. If there are any, no others are accepted.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int | None
    build: Callable[[int], nn.Module]
    find_weights: Callable[[str, bool], Path]
    weights: str
    convert: Callable[[nn.Module, Weights], Weights] = lambda _, weights: weights
    tracing: Callable[[], Tracing] = dict
    head: tuple[str, ...] = ()
    layers: Mapping[str, str] = field(default_factory=dict)

    has_weights = True

    def regions(self, layer: str | None, image_size: int | None) -> Regions:
        """What a layer gives for images of a size. None takes the default layer, or the size of its training.

        Raises:
            InputError: if there is no such layer, it gives no regions, or the network takes no images of the size.
        """
        return _regions(self, layer, image_size or self.image_size or _ANY_SIZE)

    def up_to(self, layer: str, image_size: int | None, weights: Path | None) -> nn.Module:
        """The part of the network that computes a layer, with the weights of a file; None for random ones.

        Raises:
            InputError: if the file is missing, damaged, or lacks weights of this part.
        """
        whole = self.build(image_size or self.image_size or _ANY_SIZE)
        part = cut_behind(whole, self.layers.get(layer, layer), self.tracing())
        if weights is not None:
            self._load(whole, part, weights)
        return part

    def weights_file(self, download: bool = True) -> Path:
        """The file of the pretrained weights; it may be downloaded if it is missing.

        Raises:
            InputError: if it is missing.
        """
        return self.find_weights(self.name, download)

    def layer_table(self, image_size: int | None, *, inside: bool = False) -> dict[str, Regions]:
        """What each layer gives that can be the regions, in the order of the computation, by its shortest name.

        Args:
            image_size: edge of the images in pixels; None takes that of its training.
            inside: also the layers inside numbered blocks, operations that are no modules, and what comes after the
                default layer.

        Raises:
            InputError: if the network takes no images of this size.
        """
        if self.layers:
            return {layer: self.regions(layer, image_size) for layer in self.layers}
        size = image_size or self.image_size or _ANY_SIZE
        with _explain(self, size), torch.device("meta"):
            whole, tracing = _without_numbers(self, size), self.tracing()
            names = node_names(whole, tracing)
            found = {shortest_name(name, names): it for name, it in all_regions(whole, size, tracing).items()}
        if inside:
            return found
        default = list(found).index(_default_layer(self))
        modules = dict(whole.named_modules())
        return {name: found[name] for name in list(found)[: default + 1] if is_main_layer(name) and name in modules}

    def _load(self, whole: nn.Module, part: nn.Module, path: Path) -> None:
        found = read_weights(path)
        with _explain_misfit(self, path):
            found = self.convert(whole, found)
        # What tracing has made a constant is in no file; old files do not count the batches seen in training.
        wanted = {
            name: value
            for name, value in part.state_dict().items()
            if name in whole.state_dict() and not name.endswith("num_batches_tracked")
        }
        lacking = [name for name in wanted if name not in found or found[name].shape != wanted[name].shape]
        if lacking:
            raise InputError(
                f"{path} does not hold the weights of {self.name}: {len(lacking)} of {len(wanted)} are missing or have "
                f"another shape, such as {lacking[0]}"
            )
        part.load_state_dict({name: found[name] for name in wanted}, strict=False)


@cache
def _regions(network: LibraryNetwork, layer: str | None, size: int) -> Regions:
    layer = layer or _default_layer(network)
    if network.layers and layer not in network.layers:
        raise InputError(f"image encoder {network.name} has no layer {layer!r}; accepted: {', '.join(network.layers)}")
    node = network.layers.get(layer, layer)
    with _explain(network, size), torch.device("meta"):
        whole, tracing = _without_numbers(network, size), network.tracing()
        names = node_names(whole, tracing)
        if not any(f"{name}.".startswith(f"{node}.") for name in names):
            raise InputError(
                f"image encoder {network.name} has no layer {layer!r}; {_near_layers(layer, names)}"
                f"{LISTS} {network.name} lists them"
            )
        found = regions_of(whole, node, size, tracing)
    if found is None:
        raise InputError(
            f"layer {layer} of {network.name} gives neither a square grid nor tokens; accepted: what {LISTS} "
            f"{network.name} lists"
        )
    return Regions(layer, found.channels, found.edge, found.axes, found.special_tokens)


@cache
def _default_layer(network: LibraryNetwork) -> str:
    if network.layers:
        return list(network.layers)[-1]
    size = network.image_size or _ANY_SIZE  # the same layer for images of any size
    with _explain(network, size), torch.device("meta"):
        whole, tracing = _without_numbers(network, size), network.tracing()
        return last_layer(whole, all_regions(whole, size, tracing), node_names(whole, tracing), network.head)


def _without_numbers(network: LibraryNetwork, size: int) -> nn.Module:
    """The network on the meta device, which takes neither time nor memory."""
    try:
        with torch.device("meta"):
            return network.build(size)
    except RuntimeError:  # RegNet computes its sizes with tensors
        with torch.device("cpu"):
            return network.build(size).to("meta")


def near(name: str, known: Sequence[str]) -> str:
    """The known names that are most like another, as a part of a sentence; empty if none is."""
    containing = [other for other in known if name and name in other]
    found = (containing or get_close_matches(name, known, n=_NEAR, cutoff=0.5))[:_NEAR]
    return f"near: {', '.join(found)}; " if found else ""


def is_main_layer(name: str) -> bool:
    """Whether a layer is not inside a numbered one, such as `blocks.3`."""
    return not any(part[-1:].isdigit() for part in name.split(".")[:-1])


def _near_layers(layer: str, names: Sequence[str]) -> str:
    """The layers that are most like another name, or else some of the last."""
    parts = [name.split(".") for name in names]
    known = list(dict.fromkeys(".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)))
    main = [name for name in known if is_main_layer(name)]
    return near(layer, main) or near(layer, known) or f"it has {', '.join(main[-_NEAR:])}; "


@contextmanager
def _explain(network: LibraryNetwork, size: int) -> Iterator[None]:
    """Replaces an error of a network that is built, traced and run by one line."""
    try:
        yield
    except InputError:
        raise
    except _FAILURES as error:
        raise InputError(
            f"image encoder {network.name} cannot be used with images of {size} pixels: {_first_line(error)}"
        ) from error


@contextmanager
def _explain_misfit(network: LibraryNetwork, path: Path) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise InputError(f"{path} does not hold the weights of {network.name}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
