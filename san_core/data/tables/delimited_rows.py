"""Reads rows from text with a delimiter between the cells: CSV, TSV and the like."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from san_core.data.problems import Problems
from san_core.data.tables.column_names import distinct
from san_core.data.tables.file_rows import FileRows
from san_core.errors import InputError

_LARGEST_CELL = 2**31 - 1
_SAMPLE = 300
"""Number of lines by which the delimiter is found."""

_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel writes and reads it


class _Form(NamedTuple):
    """How cells are separated and quoted.

    Attributes:
        delimiter: character between the cells.
        quoted: whether quotes enclose cells, which may then hold delimiters and line breaks.
        escape: character before a quote inside of quotes; None where it is doubled.
    """

    delimiter: str
    quoted: bool = True
    escape: str | None = None

    def reader(self, lines: Iterator[str]) -> Any:  # noqa: ANN401 - csv gives its reader no public type
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            escapechar=self.escape,
            doublequote=self.escape is None,
            strict=True,
        )


class _Record(NamedTuple):
    """A row of a text, from its first to its last line, counted from 0; `cells` is None if it cannot be read."""

    first: int
    last: int
    cells: list[str] | None
    reason: str = ""


_FORMS = (*(_Form(delimiter) for delimiter in ",;\t|"), _Form("\t", quoted=False))
_ESCAPED = tuple(_Form(delimiter, escape="\\") for delimiter in ",;\t|")


def read_delimited(path: Path, text: str, problems: Problems) -> FileRows:
    """Reads the rows below the first line, which names the columns; the place of each is the line that it starts at.

    The delimiter (comma, semicolon, tab or |) and the way of quoting are those that give rows of equal length. An
    empty cell is None. A row that has not as many cells as the first line is lost, since nobody can say which cell is
    missing.

    Raises:
        InputError: if there is no row below the first line, or only one column.
    """
    csv.field_size_limit(_LARGEST_CELL)
    lines = list(io.StringIO(text, newline=""))
    skipped = 1 if (separator := _SEPARATOR_LINE.fullmatch(lines[0])) else 0
    forms = [*_FORMS, *(_ESCAPED if '\\"' in text else ())]
    if separator:
        forms = [form for form in forms if form.delimiter == separator[1]] or forms
    form = max(forms, key=lambda form: _fit(lines[skipped:], form))
    records = _records(lines, form, skipped)
    columns = _header(path, records, skipped)
    places: list[int] = []
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    count = 0
    for record in _without_torn_rows(records, lines, len(columns)) if form.escape is None and form.quoted else records:
        cells = record.cells
        if cells is not None and not any(cells):
            continue
        count += 1
        cells = _without_empty_end(cells, len(columns)) if cells is not None else None
        if reason := record.reason or _doubt(cells, len(columns)):
            where = f"{path} line {record.first + 1}"
            problems.lose("row of the table cannot be read, left out", where, reason, file=path)
        elif cells is not None:
            places.append(record.first + 1)
            numbers.append(count)
            rows.append(dict(zip(columns, (cell if cell.strip() else None for cell in cells), strict=True)))
    problems.add_file(path, count)
    return FileRows("line", places, numbers, rows)


def _header(path: Path, records: Iterator[_Record], line: int) -> list[str]:
    """The names of the columns, from the first row that is not empty."""
    cells = next((record.cells or [] for record in records if record.cells is None or any(record.cells)), [])
    names = _without_empty_end([name.strip() for name in cells])
    if len(names) < 2:
        raise InputError(
            f"{path} line {line + 1}: neither JSON nor columns; accepted: JSON, or a first line that names the columns "
            "and separates them by commas, semicolons, tabs or |"
        )
    return distinct([name or f"unnamed {i}" for i, name in enumerate(names, start=1)])


def _fit(lines: Sequence[str], form: _Form) -> tuple[float, int]:
    """The share of rows that are as long as the first, which must have two cells or more; and that length."""
    records = [record for record in _records(lines[:_SAMPLE], form, 0) if record.cells is None or any(record.cells)]
    if len(lines) > _SAMPLE:  # a row may go on behind the sample
        records = records[:-1]
    width = len(_without_empty_end(records[0].cells or [])) if records else 0
    if width < 2:
        return 0.0, 0
    fits = [record.cells is not None and len(_without_empty_end(record.cells, width)) == width for record in records]
    return sum(fits) / len(fits), width


def _records(lines: Sequence[str], form: _Form, start: int) -> Iterator[_Record]:
    """Yields the rows. One with a quote that is not closed is lost alone: the line after it begins a row again."""
    width, doubtful_until = 0, -1
    while start < len(lines):
        reader = form.reader(lines[i] for i in range(start, len(lines)))
        for record in _read(reader, start):
            width = width or len(record.cells or [])
            if record.last > record.first and (reason := record.reason or _swallowed(record, width, form)):
                doubtful_until = max(doubtful_until, record.last)
                yield _Record(record.first, record.first, None, reason)
                start = record.first + 1
                break
            if record.first <= doubtful_until and record.cells and any('"' in cell for cell in record.cells):
                record = record._replace(cells=None, reason="a quote in it belongs to another line")
            yield record
        else:
            return


def _without_torn_rows(records: Iterator[_Record], lines: Sequence[str], width: int) -> Iterator[_Record]:
    """Yields the rows; two that share a quoted cell of several lines, whose first quote is inside a cell, are lost.

    That happens where the line end before such a row is missing: its cell is then torn in two.
    """
    waiting: list[_Record] = []
    for record in records:
        lone = "".join(lines[record.first : record.last + 1]).count('"') % 2 == 1
        if waiting and lone and any(cell.endswith('"') for cell in record.cells or ()):
            torn = "a quote in it belongs to another line"
            yield waiting[0]._replace(cells=None, reason=torn)
            yield from waiting[1:]
            yield record._replace(cells=None, reason=torn)
            waiting = []
        elif waiting and not lone and len(record.cells or ()) != width:
            waiting.append(record)
        else:
            yield from waiting
            waiting = [record] if lone and record.cells else []
            if not waiting:
                yield record
    yield from waiting


def _read(reader: Any, start: int) -> Iterator[_Record]:  # noqa: ANN401 - see `_Form.reader`
    while True:
        first = start + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Record(first, start + reader.line_num - 1, None, str(error))
        else:
            yield _Record(first, start + reader.line_num - 1, cells)


def _swallowed(record: _Record, width: int, form: _Form) -> str:
    """Why a row of several lines has probably swallowed other rows, by a quote that is not closed; else empty."""
    if record.cells is None or len(_without_empty_end(record.cells, width)) != width:
        return f"{len(record.cells or [])} cells over several lines, in place of {width}"
    separator = re.compile(re.escape(form.delimiter) + r"\S")
    for column, cell in enumerate(record.cells):
        lines = [len(separator.findall(line)) for line in cell.splitlines()]
        if len(lines) > 1 and _are_rows(lines, column, width):
            return "a quote that is not closed"
    return ""


def _are_rows(delimiters: Sequence[int], column: int, width: int) -> bool:
    """Whether the lines of a cell have the delimiters of a row's end, of whole rows, and of a row's beginning."""
    first, *middle, last = delimiters
    return first >= width - 1 - column and last >= column and all(count >= width - 1 for count in middle)


def _doubt(cells: Sequence[str] | None, width: int) -> str:
    """Why the cells of a row may not be what the columns say; else empty."""
    if cells is None or len(cells) != width:
        return f"{len(cells or [])} cells in place of {width}"
    return "a null byte" if any("\0" in cell for cell in cells) else ""


def _without_empty_end(cells: list[str], keep: int = 0) -> list[str]:
    """The cells without the empty ones at the end, but at least the first `keep`."""
    end = len(cells)
    while end > keep and not cells[end - 1].strip():
        end -= 1
    return cells[:end]
