"""A question about an image with its answers, and the Parquet file that holds the questions of a split."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Question:
    """A question about one image, with its right answer.

    Attributes:
        text: the question.
        answer: the right answer; where several people answered, their most frequent answer; empty where nobody did.
            An answer of several things lists them in alphabetical order, joined by ", " (DAQUAR).
        image: key of its image in `RawDataset.images`.
        id: the data set's own id of the question, used in files of official results.
        answers: answer of each person, if several people answered (VQA: ten).
        answer_type: kind of answer, by which scores are grouped; empty where the data set has none.
        question_type: kind of question, likewise.
    """

    text: str
    answer: str
    image: str
    id: str | int = ""
    answers: tuple[str, ...] = ()
    answer_type: str = ""
    question_type: str = ""

    @property
    def human_answers(self) -> tuple[str, ...]:
        """Each person's answer; the right answer alone where one person answered, nothing where nobody did."""
        return self.answers or ((self.answer,) if self.answer else ())


_COLUMNS = [field.name for field in fields(Question)]


_JSON_IDS = {b"ids": b"JSON"}


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """Writes questions to a Parquet file with one column for each attribute of `Question`.

    Ids are written as JSON if they are of both types, or if one is too large for a 64-bit integer.
    """
    columns = {name: [getattr(question, name) for question in questions] for name in _COLUMNS}
    as_json = len({type(id_) for id_ in columns["id"]}) > 1 or any(_is_large(id_) for id_ in columns["id"])
    if as_json:
        columns["id"] = [json.dumps(id_) for id_ in columns["id"]]
    types = {"answers": pa.list_(pa.string())}
    arrays = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    table = pa.table(arrays, metadata=_JSON_IDS if as_json else None)
    pq.write_table(table, path, compression="zstd")


def _is_large(id_: str | int) -> bool:
    return isinstance(id_, int) and not -(2**63) <= id_ < 2**63


def read_questions(path: Path) -> list[Question]:
    """Reads the questions that `write_questions` wrote."""
    table = pq.read_table(path)
    columns = table.to_pydict()
    columns["answers"] = [tuple(answers) for answers in columns["answers"]]
    if _JSON_IDS.items() <= (table.schema.metadata or {}).items():
        columns["id"] = [json.loads(id_) for id_ in columns["id"]]
    rows = zip(*(columns[name] for name in _COLUMNS), strict=True)
    return [Question(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]
