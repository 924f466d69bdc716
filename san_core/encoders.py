"""`python -m san_core.encoders`: finds image encoders by a part of their names, and lists the layers of one."""

import argparse
import sys
from fnmatch import fnmatch

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from san_core.command_line import CommandLine, number, print_message, run_command
from san_core.errors import InputError
from san_core.models.encoders import LIBRARIES, NAMES, Encoder, find_encoder


def _parse() -> argparse.Namespace:
    parser = CommandLine("san_core.encoders", "Finds image encoders by name, and lists the layers of one.")
    add = parser.add_argument
    add(
        "name",
        nargs="?",
        default="",
        metavar="NAME",
        help="an image encoder, to list its layers; or a part of a name, such as dinov2, timm: or 'torchvision:swin*'",
    )
    add("--image-size", type=number(int, at_least=1), metavar="PIXELS", help="count the regions of images of this size")
    add("--all", action="store_true", help="list the layers inside numbered blocks and all operations, too")
    return parser.parse_args()


def main() -> None:
    """Prints the names of the encoders that are like the given one, or the layers of the encoder of this name."""
    arguments = _parse()
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    if not arguments.name:
        _print_all(console)
    elif found := _exactly(arguments.name):
        _print_encoder(console, found, arguments.image_size, inside=arguments.all)
    elif names := matching(arguments.name):
        console.print("\n".join(names), soft_wrap=True)
        print_message("\nthe layers of one: python -m san_core.encoders NAME")
    else:
        find_encoder(arguments.name)  # raises: it says what is near


def _exactly(name: str) -> Encoder | None:
    """The encoder of a name; None for a part of a name, or one that is unknown."""
    try:
        return find_encoder(name)
    except InputError:
        return None


def matching(name: str) -> list[str]:
    """The names of the encoders with `name` in them, which may have the wildcards of `fnmatch`."""
    pattern = name if any(sign in name for sign in "*?[") else f"*{name}*"
    return [known for known in (*NAMES, *_of_libraries()) if fnmatch(known, pattern)]


def _of_libraries() -> list[str]:
    """The names of all networks of the libraries; those of one that is not installed are left out, with a message."""
    names: list[str] = []
    for prefix, library in LIBRARIES.items():
        try:
            names += [f"{prefix}{name}" for name in library.names()]
        except InputError as error:
            print_message(str(error))
    return names


def _print_all(console: Console) -> None:
    names = _of_libraries()
    console.print("\n".join(NAMES))
    for prefix in LIBRARIES:
        count = sum(name.startswith(prefix) for name in names)
        console.print(f"{prefix}NAME, {count:,} pretrained networks: python -m san_core.encoders {prefix}")


def _print_encoder(console: Console, encoder: Encoder, image_size: int | None, *, inside: bool) -> None:
    size = image_size or encoder.image_size or 448
    default = encoder.regions(None, size).layer
    mean, std = (", ".join(f"{value:.3f}" for value in values) for values in (encoder.mean, encoder.std))
    console.print(f"{encoder.name}: images of {size} pixels, mean {mean}, standard deviation {std}", soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("--layer", "channels", "regions", ""):
        table.add_column(heading, justify="right" if heading in ("channels", "regions") else "left")
    for layer, found in encoder.layer_table(size, inside=inside).items():
        table.add_row(layer, str(found.channels), f"{found.edge} x {found.edge}", "default" if layer == default else "")
    console.print(table)


if __name__ == "__main__":
    run_command(main)
