"""Splits text with a delimiter into records. Of damaged text it keeps those that no damaged quote can have reached."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

LONGEST_CELL = 20
"""Longest cell in lines; a longer one is rather a quote that is not closed."""

_WHOLE = re.compile(r'"((?:[^"]|"")*)"')
_NOT_CLOSED = "unexpected end of data"  # what csv says of a text that ends inside of quotes
_LONE = "a quote in it may belong to another row"


class Form(NamedTuple):
    """How cells are separated and quoted.

    Attributes:
        delimiter: character between the cells.
        quoted: whether quotes enclose cells, which may then hold delimiters and line breaks.
        escape: character before a quote inside of quotes; None where it is doubled.
    """

    delimiter: str
    quoted: bool = True
    escape: str | None = None

    @property
    def doubles_quotes(self) -> bool:
        """Whether a cell in quotes doubles the quotes inside of it, so that each row has an even number of them."""
        return self.quoted and self.escape is None

    def reader(self, lines: Iterator[str]) -> Any:  # noqa: ANN401 - csv gives its reader no public type
        """A reader of `csv` that is strict."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            escapechar=self.escape,
            doublequote=self.escape is None,
            strict=True,
        )


class Record(NamedTuple):
    """A row of a text, from its first to its last line, counted from 0; `cells` is None if it cannot be read."""

    first: int
    last: int
    cells: list[str] | None
    reason: str = ""

    def lose(self, reason: str) -> "Record":
        """The record as one that cannot be read."""
        return self._replace(cells=None, reason=reason)

    def text(self, lines: Sequence[str]) -> str:
        """The lines of the record."""
        return "".join(lines[self.first : self.last + 1])


def read_records(lines: Sequence[str], form: Form) -> list[Record]:
    """Reads the records that are not empty; the first one says how many cells each must have.

    Where each line with a quote has as many cells as the first, quotes need not enclose cells: in a file written by
    hand, `5"` is five inches.
    """
    records = _not_empty(_quoted_records(lines, form))
    width = len(without_empty_end(records[0].cells or [])) if records else 0
    if form.doubles_quotes:
        if all(_has_width(line.rstrip("\r\n").split(form.delimiter), width) for line in lines if '"' in line):
            records = _without_open_quotes(_not_empty(_plain_records(lines, form)), lines)
        else:
            records = _without_lone_quotes(records, lines, width, form)
    return records[:1] + [_with_width(record, width) for record in records[1:]]


def without_empty_end(cells: list[str], keep: int = 0) -> list[str]:
    """The cells without the empty ones at the end, but at least the first `keep`."""
    end = len(cells)
    while end > keep and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _not_empty(records: Iterator[Record]) -> list[Record]:
    return [record for record in records if record.cells is None or any(record.cells)]


def _has_width(cells: list[str], width: int) -> bool:
    return len(without_empty_end(cells, width)) == width


def _with_width(record: Record, width: int) -> Record:
    """The record without empty cells behind the last column; lost if it has not as many cells as there are columns."""
    if record.cells is None:
        return record
    cells = without_empty_end(record.cells, width)
    if len(cells) != width:
        return record.lose(f"{len(cells)} cells in place of {width}")
    return record.lose("a null byte") if any("\0" in cell for cell in cells) else record._replace(cells=cells)


def _plain_records(lines: Sequence[str], form: Form) -> Iterator[Record]:
    """Yields a record for each line; only a cell that is in quotes as a whole loses them."""
    for number, line in enumerate(lines):
        cells = line.rstrip("\r\n").split(form.delimiter)
        yield Record(number, number, [_unquoted(cell) for cell in cells] if '"' in line else cells)


def _unquoted(cell: str) -> str:
    whole = _WHOLE.fullmatch(cell)
    return whole[1].replace('""', '"') if whole else cell


def _without_open_quotes(records: list[Record], lines: Sequence[str]) -> list[Record]:
    """The records; those from one with a cell that only begins with a quote to one that only ends with one are lost.

    They may be one row with a cell of several lines.
    """
    found = list(records)
    for index, record in enumerate(records):
        if record.cells and _is_odd(record, lines) and any(map(_begins_only, record.cells)):
            ends = (i for i, other in enumerate(records[index + 1 :][:LONGEST_CELL], index + 1) if _ends(other, lines))
            for lost in range(index, next(ends, index) + 1):
                found[lost] = records[lost].lose(_LONE)
    return found


def _begins_only(cell: str) -> bool:
    return cell.startswith('"') and cell.count('"') % 2 == 1


def _ends(record: Record, lines: Sequence[str]) -> bool:
    return _is_odd(record, lines) and any(cell.endswith('"') for cell in record.cells or ())


def _is_odd(record: Record, lines: Sequence[str]) -> bool:
    return record.text(lines).count('"') % 2 == 1


def _quoted_records(lines: Sequence[str], form: Form) -> Iterator[Record]:
    """Yields the records. Of one that cannot be read, the last line may begin another record.

    One with a quote that is not closed reaches to the next quote, or to the end of a text that was cut off inside of a
    cell: then all its lines may be that cell. If its end is far, only its first line is lost.
    """
    start, width = 0, 0
    while start < len(lines):
        reader = form.reader(lines[number] for number in range(start, len(lines)))
        for record in _read(reader, start):
            width = width or len(without_empty_end(record.cells or []))
            if record.last > record.first and (reason := record.reason or _swallowed(record, lines, width, form)):
                last = record.last if record.reason == _NOT_CLOSED else record.last - 1
                last = last if record.last - record.first <= LONGEST_CELL else record.first
                yield Record(record.first, last, None, reason)
                start = last + 1
                break
            yield record
        else:
            return


def _read(reader: Any, start: int) -> Iterator[Record]:  # noqa: ANN401 - see `Form.reader`
    while True:
        first = start + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(first, start + reader.line_num - 1, None, str(error))
        else:
            yield Record(first, start + reader.line_num - 1, cells)


def _swallowed(record: Record, lines: Sequence[str], width: int, form: Form) -> str:
    """Why a record of several lines is none, or may be one row for each line; else empty.

    Each line then has the delimiters of a row; those before a blank, as between words, do not count.
    """
    if not _has_width(record.cells or [], width):
        return f"{len(record.cells or [])} cells over several lines, in place of {width}"
    delimiter = re.compile(re.escape(form.delimiter) + "(?! )")
    counts = [len(delimiter.findall(line)) for line in lines[record.first : record.last + 1] if line.strip()]
    return "a quote that may not be closed" if all(count == width - 1 for count in counts) else ""


def _without_lone_quotes(records: list[Record], lines: Sequence[str], width: int, form: Form) -> list[Record]:
    """The records; where rows cannot be read, those with a quote that has no partner are lost.

    Where all can be read, two neighbours with such quotes may still be one cell, torn in two as the line end before its
    row is missing.
    """
    odd = [index for index, record in enumerate(records) if _is_odd(record, lines)]
    opening = re.compile(rf'"[^"\r\n{re.escape(form.delimiter)}]')
    opened = [(i, j) for i, j in pairwise(odd) if opening.search(records[i].text(lines))]
    if all(record.cells is not None and _has_width(record.cells, width) for record in records):
        lost = {place for i, j in opened if j == i + 1 and _ends(records[j], lines) for place in (i, j)}
    else:  # rows between two such quotes may be lines of a cell
        lost = {*odd, *(place for i, j in opened if j - i <= LONGEST_CELL for place in range(i, j))}
    return [record.lose(_LONE) if index in lost and record.cells else record for index, record in enumerate(records)]
