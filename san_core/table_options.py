"""The options of `san_core.prepare` for the user's own tables."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from san_core.command_line import path
from san_core.data.raw_dataset import Location, TableFiles
from san_core.data.tables.columns import ROLES
from san_core.errors import InputError

SPLIT_OPTIONS = ("train", "validation", "test")
TABLE_OPTIONS = ("files", *SPLIT_OPTIONS, "column")


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only tables have."""
    add = parser.add_argument_group("your own tables (NAME table)").add_argument
    add(
        "files",
        type=path,
        nargs="*",
        metavar="FILE",
        help="JSON, JSON lines, CSV, TSV or Parquet, also .gz; or a folder of such. A row has a question, "
        "an answer and a picture. A column or the names of several files say the splits",
    )
    for option in ("--train", "--validation", "--test"):
        add(option, type=path, nargs="+", default=[], metavar="FILE", help=f"tables of the split {option[2:]}")
    add_column_option(add)


def add_column_option(add: Callable[..., object]) -> None:
    """Adds the option --column by a parser's or group's `add_argument`; `chosen_columns` reads it."""
    add(
        "--column",
        type=_column,
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help=f"which column has what, if its name does not say it; ROLE is one of {', '.join(ROLES)}; answer may be "
        "given several times, for several people's answers",
    )


def chosen_columns(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """The columns that --column names, by role.

    Raises:
        InputError: if a role is given several times.
    """
    columns: dict[str, list[str]] = {}
    for role, name in arguments.column:
        columns.setdefault(role, []).append(name)
    several = [role for role, names in columns.items() if len(names) > 1 and role != "answer"]
    if several:
        raise InputError(f"--column {several[0]}= is given {len(columns[several[0]])} times; only answer= may be")
    return columns


def table_location(arguments: argparse.Namespace, out: Path) -> Location:
    """Where the user's tables are, from the options.

    Raises:
        InputError: if a role is given several times.
    """
    return Location(
        table=TableFiles(
            files=arguments.files,
            splits={split: getattr(arguments, split) for split in SPLIT_OPTIONS},
            images=arguments.images,
            image_name=arguments.image_name,
            columns=chosen_columns(arguments),
            embedded=out.with_name(f"{out.name}-pictures"),
        )
    )


def given_options(arguments: argparse.Namespace) -> Mapping[str, object]:
    """The options of tables that are given, by name."""
    names = {name: "FILE" if name == "files" else f"--{name}" for name in TABLE_OPTIONS}
    return {shown: value for name, shown in names.items() if (value := getattr(arguments, name))}


def _column(text: str) -> tuple[str, str]:
    role, _, name = text.partition("=")
    if role not in ROLES or not name:
        raise argparse.ArgumentTypeError(f"must be ROLE=NAME with a ROLE of {', '.join(ROLES)}, but got {text!r}")
    return role, name
