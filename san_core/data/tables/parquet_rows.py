"""Reads the rows of a Parquet file; pictures in it are written to files of their own."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from san_core.data.problems import Problems
from san_core.data.tables.column_names import distinct
from san_core.data.tables.embedded_pictures import PictureFolder
from san_core.data.tables.file_rows import FileRows
from san_core.errors import InputError

_ROWS_AT_A_TIME = 64
"""Few, since a row may hold a picture."""


def read_parquet(path: Path, source: Path | bytes, problems: Problems, pictures: PictureFolder | None) -> FileRows:
    """Reads the rows.

    Args:
        path: the file, as messages name it.
        source: the file, or its content.
        problems: the number of rows is added.
        pictures: where pictures in the file (bytes, or Hugging Face's `{"bytes", "path"}`) are written; the path takes
            the place of the picture. None leaves them out.

    Raises:
        InputError: if the file is damaged.
    """
    rows: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(source if isinstance(source, Path) else io.BytesIO(source)) as file:
            for batch in file.iter_batches(_ROWS_AT_A_TIME):
                rows += _read_batch(batch, pictures)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} row {len(rows) + 1}: a damaged Parquet file ({reason})") from error
    problems.add_file(path, len(rows))
    numbers = range(1, len(rows) + 1)
    return FileRows("row", numbers, numbers, rows)


def _read_batch(batch: pa.RecordBatch, pictures: PictureFolder | None) -> Iterator[dict[str, Any]]:
    names = distinct(batch.schema.names)
    columns = [column.to_pylist() for column in batch.columns]
    for cells in zip(*columns, strict=True):
        yield {name: _file_of(cell, pictures) for name, cell in zip(names, cells, strict=True)}


def _file_of(cell: object, pictures: PictureFolder | None) -> object:
    """The file of a cell that is a picture; any other cell as it is."""
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if isinstance(content, bytes) and content:
        return pictures.write(content) if pictures else None
    return cell.get("path") if isinstance(cell, Mapping) and cell.keys() <= {"bytes", "path"} else cell
