"""A split's questions in words, as a Parquet file that any tool can read."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from san_core.data.source import Question

_COLUMNS = [field.name for field in fields(Question)]


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """Writes questions, a column for each of their attributes; ids become text where they are mixed or too large."""
    columns = {name: [getattr(question, name) for question in questions] for name in _COLUMNS}
    if len({type(number) for number in columns["id"]}) > 1 or any(_is_large(number) for number in columns["id"]):
        columns["id"] = [str(number) for number in columns["id"]]
    types = {"answers": pa.list_(pa.string())}
    arrays = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path, compression="zstd")


def _is_large(number: str | int) -> bool:
    return isinstance(number, int) and not -(2**63) <= number < 2**63


def read_questions(path: Path) -> list[Question]:
    """The questions that `write_questions` wrote."""
    columns = pq.read_table(path).to_pydict()
    columns["answers"] = [tuple(answers) for answers in columns["answers"]]
    return [
        Question(**dict(zip(_COLUMNS, row, strict=True))) for row in zip(*(columns[n] for n in _COLUMNS), strict=True)
    ]
