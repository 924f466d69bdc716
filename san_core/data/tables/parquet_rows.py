"""Reads the rows of a Parquet file; pictures in it are written to files of their own."""

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from san_core.data.problems import Problems
from san_core.data.tables.column_names import distinct, is_image, simplify
from san_core.data.tables.embedded_pictures import PictureFolder, is_picture
from san_core.data.tables.file_rows import FileRows
from san_core.errors import InputError

_ROWS_AT_A_TIME = 64
"""Few, since a row may hold a picture."""


def read_parquet(
    path: Path,
    source: Path | bytes,
    problems: Problems,
    pictures: PictureFolder | None,
    image_columns: Collection[str] = (),
) -> FileRows:
    """Reads the rows. Dates become texts; numbers that stand for names, as Hugging Face stores labels, the names.

    Args:
        path: the file, as messages name it.
        source: the file, or its content.
        problems: the number of rows is added.
        pictures: where pictures in the file (bytes, or Hugging Face's `{"bytes", "path"}`) are written; the path takes
            the place of the picture. None leaves them out.
        image_columns: the columns whose pictures are written. Without any, those that are called so, or else all.

    Raises:
        InputError: if the file is damaged.
    """
    rows: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(source if isinstance(source, Path) else io.BytesIO(source)) as file:
            cells = _Cells(file.schema_arrow, pictures, image_columns)
            for batch in file.iter_batches(_ROWS_AT_A_TIME):
                rows += cells.rows_of(batch)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} row {len(rows) + 1}: a damaged Parquet file ({reason})") from error
    problems.add_file(path, len(rows))
    numbers = range(1, len(rows) + 1)
    return FileRows("row", numbers, numbers, rows)


class _Cells:
    """Turns the cells of a file into texts, numbers, lists and paths of pictures."""

    def __init__(self, schema: pa.Schema, pictures: PictureFolder | None, image_columns: Collection[str]) -> None:
        self._names = distinct(schema.names)
        self._pictures = pictures
        self._labels = [_label_names(schema).get(name, []) for name in schema.names]
        binary = [name for name, kind in zip(self._names, schema.types, strict=True) if "binary" in str(kind)]
        chosen = {simplify(name) for name in image_columns}
        named = [name for name in binary if (simplify(name) in chosen if chosen else is_image(name))]
        self._written = set(named if named or chosen else binary)

    def rows_of(self, batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        """The rows of a batch, by the names of the columns."""
        columns = [
            [self._read(cell, name, labels) for cell in column.to_pylist()]
            for name, labels, column in zip(self._names, self._labels, batch.columns, strict=True)
        ]
        for cells in zip(*columns, strict=True):
            yield dict(zip(self._names, cells, strict=True))

    def _read(self, cell: object, name: str, labels: Sequence[str]) -> object:
        if isinstance(cell, list):
            return [self._read(entry, name, labels) for entry in cell]
        if labels and isinstance(cell, int):
            return labels[cell] if 0 <= cell < len(labels) else None
        if isinstance(cell, date | time):
            return str(cell).removesuffix(" 00:00:00")
        return self._file_of(cell, name)

    def _file_of(self, cell: object, name: str) -> object:
        """The file of a cell that is a picture; any other cell as it is, bytes of a text as the text."""
        content = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if isinstance(content, bytes) and content:
            if not is_picture(content):
                return content.decode()
            return self._pictures.write(content) if self._pictures and name in self._written else None
        return cell.get("path") if isinstance(cell, Mapping) and cell.keys() <= {"bytes", "path"} else cell


def _label_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names that numbers stand for (`ClassLabel` of Hugging Face), for the columns that have some."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items()
        kinds = {column: _entry_of(feature) for column, feature in features}
        return {
            column: [str(name) for name in kind["names"]]
            for column, kind in kinds.items()
            if kind.get("_type") == "ClassLabel" and isinstance(kind.get("names"), list)
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _entry_of(feature: Any) -> Any:  # noqa: ANN401 - any value of a JSON file
    """The kind of the entries, of a column of lists; of any other the kind itself."""
    feature = feature[0] if isinstance(feature, list) else feature
    return feature["feature"] if isinstance(feature.get("feature"), dict) else feature
