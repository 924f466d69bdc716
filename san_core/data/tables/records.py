"""Reads the rows of a file: JSON, JSON lines, CSV, TSV or Parquet, plain or compressed by gzip."""

import gzip
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from san_core.data.problems import Problems
from san_core.data.tables.column_names import is_image
from san_core.data.tables.delimited_rows import read_delimited
from san_core.data.tables.embedded_pictures import PictureFolder
from san_core.data.tables.file_rows import FileRows
from san_core.data.tables.json_rows import looks_like_json, read_json_rows
from san_core.data.tables.parquet_rows import read_parquet
from san_core.data.text_files import decode
from san_core.errors import InputError
from san_core.file_kinds import KINDS, LFS_POINTER
from san_core.files import read_bytes, read_start

ACCEPTED = "JSON, JSON lines, CSV, TSV or Parquet, each also compressed by gzip"

_OTHERS = {
    LFS_POINTER: KINDS[LFS_POINTER],
    b"PK\x03\x04": "a spreadsheet or ZIP archive; save the sheet as CSV, or unpack the archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet; save the sheet as CSV",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"\x80\x02": "a Python pickle, which can run code when it is read; save it as JSON or Parquet",
    b"\x80\x03": "a Python pickle, which can run code when it is read; save it as JSON or Parquet",
    b"\x80\x04": "a Python pickle, which can run code when it is read; save it as JSON or Parquet",
    b"\x80\x05": "a Python pickle, which can run code when it is read; save it as JSON or Parquet",
}
_LONGEST_START = max(map(len, _OTHERS))


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Attributes:
        path: the file.
        rows: for each row its cells by column; a row may lack columns.
        places: for each row its line, its number from 1, or its key, in the file; what messages name it by.
        numbers: for each row its number from 1 among all rows of the file, those left out included; an id for rows that
            have none.
        unit: what `places` counts: `line`, `entry` or `row`.
        columns: names of all columns, in the order of the file.
    """

    path: Path
    rows: Sequence[Mapping[str, Any]]
    places: Sequence[int | str]
    numbers: Sequence[int]
    unit: str
    columns: Sequence[str]

    def where(self, index: int, column: str | None = None) -> str:
        """Where a row, or one of its cells, stands in the file, as messages say it."""
        return f"{self.path} {self.unit} {self.places[index]}{f' column {column}' if column else ''}"


def read_rows(
    path: Path, problems: Problems, pictures: PictureFolder | None = None, image_columns: Collection[str] = ()
) -> Rows:
    """Reads the rows of a file; its content decides how, not its name.

    Args:
        path: the file.
        problems: problems found so far. Rows that cannot be read are added as lost, and the number of all rows.
        pictures: where pictures that are in the file itself (Parquet) are written; their cells become paths.
        image_columns: columns that the user has named as those of pictures. Without any, those that are called so, or
            else all, are written.

    Raises:
        InputError: if the file cannot be read, or is of no kind that is accepted. The message is one line.
    """
    source, start = _open(path)
    for kind, description in _OTHERS.items():
        if start.startswith(kind):
            raise InputError(f"{path} is {description}; accepted: {ACCEPTED}")
    if start.startswith(b"PAR1"):
        read = read_parquet(path, source, problems, pictures, image_columns)
    else:
        read = _read_text(path, source if isinstance(source, bytes) else read_bytes(path), problems)
    if not read.rows:
        problems.check_losses()
        raise InputError(f"{path} has no rows that can be read; accepted: {ACCEPTED}")
    for name in filter(is_image, {name for row in read.rows for name in row}):
        for row in read.rows:
            if isinstance(cell := row.get(name), list) and len(cell) == 1:  # as in data with several pictures a row
                row[name] = cell[0]
    columns = list(dict.fromkeys(name for row in read.rows for name in row))
    return Rows(path, columns=columns, **read._asdict())


def _open(path: Path) -> tuple[Path | bytes, bytes]:
    """The file, or its content where it was compressed; and its first bytes."""
    start = read_start(path, _LONGEST_START)
    if not start.startswith(b"\x1f\x8b"):
        return path, start
    try:
        content = gzip.decompress(read_bytes(path))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is compressed by gzip, but damaged: {error}") from error
    return content, content[:_LONGEST_START]


def _read_text(path: Path, content: bytes, problems: Problems) -> FileRows:
    text = decode(path, content, problems)
    if text.count("\0") > len(text) // 10:
        raise InputError(f"{path} is neither a text file nor Parquet; accepted: {ACCEPTED}")
    if not text.strip():
        raise InputError(f"{path} is empty; accepted: {ACCEPTED}")
    if looks_like_json(path, text):
        return read_json_rows(path, text, problems)
    return read_delimited(path, text, problems)
