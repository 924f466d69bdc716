"""Reads lists of questions to answer: in the official VQA layout, or any table that `san_core.prepare table` reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from san_core.data.ids import id_key, read_id
from san_core.data.images.folder import ImageFolder
from san_core.data.images.of_row import DifferentPicturesError, find_picture, picture_names
from san_core.data.problems import Problems
from san_core.data.tables.column_names import ANSWER, IMAGE, image_ids_beside
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
            numbered from 1, those left out included.
        folder: folder of the pictures.
        problems: problems found so far; every row that is left out is added, with the reason. Different rows with the
            same id are left out, since nobody could tell whose answer is whose; of equal ones the first stays. If most
            rows share their id with a different one, the rows are numbered.
        columns: the columns that the user has named, by role; see `find_columns`.
        pictures: where pictures that are in the list itself are written.

    Raises:
        InputError: if the file cannot be read, or has no column of questions or pictures.
    """
    rows = read_rows(path, problems, pictures, (columns or {}).get(IMAGE, ()))
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
    image_ids = None if IMAGE in (columns or {}) else image_ids_beside(found.image, rows.columns)
    return _ListReader(rows, found, image_ids, folder, problems).read()


class _RowError(Exception):
    """Why a row is left out: the problem's kind, the column, and details."""

    def __init__(self, kind: str, column: str, detail: object = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.column = column
        self.detail = "" if detail is None else str(detail)[:200]


class _ListReader:
    def __init__(
        self, rows: Rows, columns: Columns, image_ids: str | None, folder: ImageFolder, problems: Problems
    ) -> None:
        self._rows = rows
        self._columns = columns
        self._image_ids = image_ids
        self._folder = folder
        self._problems = problems

    def read(self) -> list[ListedQuestion]:
        ids = self._ids() if self._columns.id else dict(enumerate(self._rows.numbers))
        questions = []
        for index, number in ids.items():
            try:
                questions.append(self._question(index, number))
            except _RowError as error:
                self._lose(index, error)
        return questions

    def _ids(self) -> dict[int, int | str]:
        """The ids of the rows, without rows that have none and rows whose id a different row has too.

        If that are most of the rows, the ids are no ids of questions, and the rows have their numbers.
        """
        column = str(self._columns.id)
        given = {index: read_id(row.get(column)) for index, row in enumerate(self._rows.rows)}
        ids = {index: number for index, number in given.items() if number is not None}
        groups: dict[str, list[int]] = {}
        for index, number in ids.items():
            groups.setdefault(id_key(number), []).append(index)
        different = {index for group in groups.values() if not self._are_equal(group) for index in group}
        if len(different) * 2 > len(given):
            self._problems.note(
                f"{self._rows.path}: most ids in the column {column} repeat, so the answers have the number of the "
                "row, from 1; --column id=NAME names another column"
            )
            return dict(enumerate(self._rows.numbers))
        for index, row in enumerate(self._rows.rows):
            if given[index] is None:
                self._lose(index, _RowError("no id, left out", column, _shown(row.get(column))))
            elif index in different:
                self._lose(index, _RowError("id that a different row has too, left out", column, given[index]))
        for group in groups.values():
            for index in [] if group[0] in different else group[1:]:
                self._problems.add("row that is there twice, the first is used", self._rows.where(index))
                del ids[index]
        return {index: number for index, number in ids.items() if index not in different}

    def _are_equal(self, group: Sequence[int]) -> bool:
        """Whether rows have the same question about the same picture."""
        first, *others = (
            (self._rows.rows[i].get(self._columns.question), picture_names(*self._image(i))) for i in group
        )
        return all(other == first for other in others)

    def _question(self, index: int, number: int | str) -> ListedQuestion:
        text = self._rows.rows[index].get(self._columns.question)
        if not isinstance(text, str) or not text.strip():
            raise _RowError("no question, left out", self._columns.question, _shown(text))
        return ListedQuestion(number, text, self._find(index), self._rows.path)

    def _find(self, index: int) -> Path:
        image, image_id = self._image(index)
        if not picture_names(image, image_id):
            raise _RowError("names no picture, left out", self._columns.image, _shown(image))
        try:
            return find_picture(self._folder, image, image_id)
        except DifferentPicturesError as error:
            kind = "image and image_id are different pictures, left out"
            raise _RowError(kind, self._columns.image, error) from error
        except InputError as error:
            raise _RowError("picture not found, left out", self._columns.image, error) from error

    def _image(self, index: int) -> tuple[object, object]:
        """What a row has as its image and as its image_id."""
        row = self._rows.rows[index]
        return row.get(self._columns.image), row.get(self._image_ids) if self._image_ids else None

    def _lose(self, index: int, error: _RowError) -> None:
        where = self._rows.where(index, error.column)
        self._problems.lose(error.kind, where, error.detail, file=self._rows.path)


def _shown(value: Any) -> str | None:  # noqa: ANN401 - a cell may hold anything
    return None if value is None else repr(value)[:80]
