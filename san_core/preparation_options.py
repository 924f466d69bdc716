"""The options of `san_core.prepare` that say how images are encoded: each may have several values."""

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from san_core.command_line import number
from san_core.data.preparation import DEFAULT_ENCODER
from san_core.errors import InputError
from san_core.models.encoders import NAMES

_IN_NAMES: dict[str, Callable[[Any], str]] = {
    "encoder": lambda name: re.sub(r"[^\w.-]+", "-", name),
    "layer": lambda name: re.sub(r"[^\w.-]+", "-", name),
    "grid": lambda edge: f"{edge}x{edge}",
    "image_size": lambda pixels: f"{pixels}px",
}
"""What the name of a folder says of each option that has several values."""


@dataclass(frozen=True)
class Combination:
    """One value of each option.

    Attributes:
        chosen: the values, by the option's name in `san_core.data.preparation.Options`; None for the default.
        folder: folder to write.
    """

    chosen: dict[str, Any]
    folder: Path


def add_encoding_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options; `combinations` reads them."""
    add = parser.add_argument
    add(
        "--encoder",
        type=_values(str),
        default=DEFAULT_ENCODER,
        metavar="NAME",
        help=f"image encoder: {', '.join(NAMES)}, torchvision:NAME, timm:NAME; python -m san_core.encoders lists them. "
        "This and the next three options take several values, as in X,Y: each combination is prepared, in a folder of "
        "its own",
    )
    add(
        "--layer",
        type=_values(str),
        default=[None],
        metavar="NAME",
        help="the encoder's layer whose output is the regions (default: its last; easy-vqa: reduction_3)",
    )
    add(
        "--grid",
        type=_values(number(int, at_least=1)),
        default=[None],
        metavar="N",
        help="pool the regions to N x N; 1 is the whole image (default: as many as the layer has; easy-vqa: 8)",
    )
    add(
        "--image-size",
        type=_values(number(int, at_least=1)),
        default=[None],
        metavar="PIXELS",
        help="edge that images are resized to (default: that which an encoder of torchvision or timm was trained on, "
        "else that of the data set)",
    )


def combinations(arguments: argparse.Namespace, out: Path) -> Iterator[Combination]:
    """Every combination of the options' values; what has several values is part of the folder's name.

    Args:
        arguments: with the options that `add_encoding_options` adds.
        out: the folder of a single combination; the names of several begin with it.

    Raises:
        InputError: if one file of weights is given for several encoders, or `out` has no name to begin others with.
    """
    values = {name: getattr(arguments, name) for name in _IN_NAMES}
    several = [name for name in values if len(values[name]) > 1]
    if arguments.weights and "encoder" in several:
        raise InputError(f"--weights is for one encoder, but got {', '.join(values['encoder'])}")
    if several and out.name in {"", ".."}:
        raise InputError(f"prepared data cannot go to {out}; accepted: a new folder, such as data/{arguments.name}")
    for combination in product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        parts = [out.name, *(_IN_NAMES[name](chosen[name]) for name in several)]
        yield Combination(chosen, out.parent / "-".join(parts) if several else out)


def _values(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """An argument type for argparse: one value, or several with commas between them."""
    return lambda text: list(dict.fromkeys(kind(part.strip()) for part in text.split(",")))
