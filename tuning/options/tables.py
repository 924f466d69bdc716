"""`python -m tuning.options.tables PAGE`: writes tables of all options into a page of docs/, between two markers."""

import sys
from collections.abc import Iterator
from pathlib import Path

from san_core.errors import InputError
from tuning.options.option import Declared, Group
from tuning.options.search_options import declared_options

START, END = "<!-- options: start -->", "<!-- options: end -->"
"""The lines of a page that the tables stand between."""


def option_tables() -> str:
    """A Markdown table of the options under each heading of `--help`."""
    return "\n\n".join("\n".join(_table(group)) for group in Group)


def _table(group: Group) -> Iterator[str]:
    yield f"**{group.value[0].upper()}{group.value[1:]}**"
    yield ""
    yield "| option | value | default | with `--resume` | what it does |"
    yield "| --- | --- | --- | --- | --- |"
    for declared in declared_options().values():
        if declared.option.group is group:
            yield f"| {' | '.join(_cells(declared))} |"


def _cells(declared: Declared) -> Iterator[str]:
    opposite = f", `--no-{declared.flag.removeprefix('--')}`" if declared.default is True else ""
    yield f"`{declared.flag}`{opposite}"
    yield declared.option.value.unit
    yield "on" if declared.default is True else declared.default_text
    yield "" if declared.option.excludes else declared.option.on_resume.value
    yield declared.option.help


def with_tables(page: str) -> str:
    """A page with the tables as they are now between its markers.

    Raises:
        InputError: if the page lacks a marker.
    """
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise InputError(f"the page must hold the lines {START} and {END}")
    return f"{before}{START}\n{option_tables()}\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
