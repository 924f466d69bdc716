"""Reads rows from text with a delimiter between the cells: CSV, TSV and the like."""

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from san_core.data.problems import Problems
from san_core.data.tables.column_names import distinct
from san_core.data.tables.delimited_records import LONGEST_CELL, Form, Record, read_records, without_empty_end
from san_core.data.tables.file_rows import FileRows
from san_core.errors import InputError

_LARGEST_CELL = 2**31 - 1
_SAMPLE = 300
"""Number of lines by which the delimiter is found."""

_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel writes and reads it

_FORMS = (*(Form(delimiter) for delimiter in ",;\t|"), Form("\t", quoted=False))
_ESCAPED = tuple(Form(delimiter, escape="\\") for delimiter in ",;\t|")


@contextlib.contextmanager
def _large_cells() -> Iterator[None]:
    """Lets Python's `csv` read cells of any length, and then what it did before."""
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@_large_cells()
def read_delimited(path: Path, text: str, problems: Problems) -> FileRows:
    """Reads the rows below the first line, which names the columns; the place of each is the line that it starts at.

    The delimiter (comma, semicolon, tab or |) and the way of quoting are those that give rows of equal length. An
    empty cell is None. A row that has not as many cells as the first line is lost, since nobody can say which cell is
    missing; so is one with a quote that may belong to another row.

    Raises:
        InputError: if there is no row below the first line, or only one column.
    """
    lines = list(io.StringIO(text, newline=""))
    skipped = 1 if (separator := _SEPARATOR_LINE.fullmatch(lines[0])) else 0
    forms = [*_FORMS, *(_ESCAPED if '\\"' in text else ())]
    if separator:
        forms = [form for form in forms if form.delimiter == separator[1]] or forms
    form = max(forms, key=lambda form: _fit(lines[skipped:], form))
    header, *records = read_records(lines[skipped:], form) or [Record(0, 0, None)]
    columns = _header(path, header.cells or [], skipped + 1)
    places: list[int] = []
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    count = 0
    for record in records:
        line = skipped + record.first + 1
        if record.cells is None:
            lost = record.last - record.first + 1
            count += lost
            kind = "row of the table cannot be read, left out"
            problems.lose(kind, f"{path} line {line}", record.reason, file=path, entries=lost)
        else:
            count += 1
            places.append(line)
            numbers.append(count)
            rows.append(dict(zip(columns, (cell if cell.strip() else None for cell in record.cells), strict=True)))
    problems.add_file(path, count)
    return FileRows("line", places, numbers, rows)


def _header(path: Path, cells: Sequence[str], line: int) -> list[str]:
    """The names of the columns, from the cells of the first row."""
    names = without_empty_end([name.strip() for name in cells])
    if len(names) < 2:
        raise InputError(
            f"{path} line {line}: neither JSON nor columns; accepted: JSON, or a first line that names the columns "
            "and separates them by commas, semicolons, tabs or |"
        )
    return distinct([name or f"unnamed {i}" for i, name in enumerate(names, start=1)])


def _fit(lines: Sequence[str], form: Form) -> tuple[float, int]:
    """The share of rows that are as long as the first, which must have two cells or more; and that length."""
    header, *records = read_records(lines[:_SAMPLE], form) or [Record(0, 0, None)]
    width = len(without_empty_end(header.cells or []))
    if width < 2:
        return 0.0, 0
    if len(lines) > _SAMPLE:  # a row may go on behind the sample
        records = [record for record in records if record.last < _SAMPLE - LONGEST_CELL]
    return (1 + sum(record.cells is not None for record in records)) / (1 + len(records)), width
