"""Reads lists of questions to answer: in the official VQA layout, or any table that `san_core.prepare table` reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from san_core.data.ids import id_key, read_id
from san_core.data.images.folder import ImageFolder
from san_core.data.problems import Problems
from san_core.data.tables.column_names import ANSWER
from san_core.data.tables.columns import Columns, find_columns
from san_core.data.tables.embedded_pictures import PictureFolder
from san_core.data.tables.records import Rows, read_rows
from san_core.errors import InputError

_USUAL = {"question_id", "question", "image", "image_id"}


@dataclass(frozen=True)
class ListedQuestion:
    """A question of a list.

    Attributes:
        id: id of the question as the list gives it, or the number of its row.
        text: the question.
        image: file of the image it is about.
        file: the list.
    """

    id: int | str
    text: str
    image: Path
    file: Path

    def __str__(self) -> str:
        return f"question_id {self.id!r}"


def read_questions(
    path: Path,
    folder: ImageFolder,
    problems: Problems,
    *,
    columns: Mapping[str, Sequence[str]] | None = None,
    pictures: PictureFolder | None = None,
) -> list[ListedQuestion]:
    """Reads the questions of a list.

    Args:
        path: JSON, JSON lines, CSV, TSV or Parquet file; see `san_core.data.tables.records`. A row has a
            question and the name or id of its picture, and an id of its own; without a column of ids the rows are
            numbered from 1.
        folder: folder of the pictures.
        problems: problems found so far; every row that is left out is added, with the reason. Different rows with the
            same id are left out, since nobody could tell whose answer is whose; of equal ones the first stays.
        columns: the columns that the user has named, by role; see `find_columns`.
        pictures: where pictures that are in the list itself are written.

    Raises:
        InputError: if the file cannot be read, or has no column of questions or pictures.
    """
    rows = read_rows(path, problems, pictures)
    found = find_columns(rows, {**(columns or {}), ANSWER: ("",)})  # answers are not needed, whatever they are called
    if found.id is None:
        listed = " ".join(", ".join(rows.columns)[:200].split())
        problems.note(
            f"{path}: no column is known as that of the ids, so the answers have the number of the row, from 1; "
            f"--column id=NAME names it; its columns: {listed}"
        )
    names = {found.question, found.image, *([found.id] if found.id else [])}
    if not names <= _USUAL:
        problems.note(f"{path}: {found}")
    return _ListReader(rows, found, folder, problems).read()


class _RowError(Exception):
    """Why a row is left out: the problem's kind, the column, and details."""

    def __init__(self, kind: str, column: str, detail: object = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.column = column
        self.detail = "" if detail is None else str(detail)[:200]


class _ListReader:
    def __init__(self, rows: Rows, columns: Columns, folder: ImageFolder, problems: Problems) -> None:
        self._rows = rows
        self._columns = columns
        self._folder = folder
        self._problems = problems

    def read(self) -> list[ListedQuestion]:
        ids: dict[int, int | str] = {}
        for index, row in enumerate(self._rows.rows):
            number = read_id(row.get(self._columns.id)) if self._columns.id else index + 1
            if number is None:
                column = str(self._columns.id)
                self._lose(index, _RowError("no id, left out", column, _shown(row.get(column))))
            else:
                ids[index] = number
        questions = []
        for index in self._distinct(ids):
            try:
                questions.append(self._question(index, ids[index]))
            except _RowError as error:
                self._lose(index, error)
        return questions

    def _distinct(self, ids: Mapping[int, int | str]) -> list[int]:
        """The rows that no different row shares its id with; of several equal ones the first."""
        groups: dict[str, list[int]] = {}
        for index, number in ids.items():
            groups.setdefault(id_key(number), []).append(index)
        kept = []
        for group in groups.values():
            contents = [(self._rows.rows[i].get(self._columns.question), self._image(i)) for i in group]
            if all(content == contents[0] for content in contents):
                kept.append(group[0])
                for index in group[1:]:
                    self._problems.add("row that is there twice, the first is used", self._rows.where(index))
            else:
                for index in group:
                    error = _RowError("id that a different row has too, left out", str(self._columns.id), ids[index])
                    self._lose(index, error)
        return kept

    def _question(self, index: int, number: int | str) -> ListedQuestion:
        text = self._rows.rows[index].get(self._columns.question)
        if not isinstance(text, str) or not text.strip():
            raise _RowError("no question, left out", self._columns.question, _shown(text))
        return ListedQuestion(number, text, self._find(index), self._rows.path)

    def _find(self, index: int) -> Path:
        value = self._image(index)
        if isinstance(value, Path):
            return value
        name = read_id(value)
        if name is None:
            raise _RowError("names no picture, left out", self._columns.image, _shown(value))
        try:
            return self._folder.find(name)
        except (InputError, ValueError) as error:  # ValueError: a null byte in the name
            raise _RowError("picture not found, left out", self._columns.image, f"{name!r}: {error}") from error

    def _image(self, index: int) -> object:
        """What a row has as its picture: a name, an id or a file. A row without it may have an image_id."""
        row = self._rows.rows[index]
        value = row.get(self._columns.image)
        value = value.get("path") if isinstance(value, Mapping) else value
        return row.get("image_id") if value in (None, "") else value

    def _lose(self, index: int, error: _RowError) -> None:
        where = self._rows.where(index, error.column)
        self._problems.lose(error.kind, where, error.detail, file=self._rows.path)


def _shown(value: Any) -> str | None:  # noqa: ANN401 - a cell may hold anything
    return None if value is None else repr(value)[:80]
