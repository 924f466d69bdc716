"""The user's own questions in tables: a row has a question, its answer and the name of its picture.

A table is a JSON, JSON lines, CSV, TSV or Parquet file; see `san_core.data.tables.records`. Question, answer and
picture come from one row, so ids are only labels here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from san_core.data.ids import read_id
from san_core.data.images.of_row import DifferentPicturesError, find_picture, picture_names
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset, TableFiles
from san_core.data.readers.table_files import SplitFile, list_files
from san_core.data.readers.table_questions import TEST, TRAIN, UNANSWERED, VALIDATION, TableQuestions
from san_core.data.tables.answer_cells import read_answers
from san_core.data.tables.choices import note_on_places
from san_core.data.tables.column_names import (
    IMAGE,
    NAMES,
    SPLIT,
    image_ids_beside,
    is_question,
    simplify,
    split_of_word,
)
from san_core.data.tables.columns import Columns, find_columns
from san_core.data.tables.embedded_pictures import PictureFolder
from san_core.data.tables.records import Rows, read_rows
from san_core.data.vocabulary import tokenize
from san_core.errors import InputError

TOP_ANSWERS = 1000
"""Default size of the answer vocabulary, as for VQA."""

LONGEST_QUESTION = 1000
"""Longest question in words; a longer one is more likely a part of the file that a quote has swallowed."""

_SHOWN = 3
_LONGEST_DETAIL = 160
_LONGEST_VALUE = 20


class _Unusable(Exception):  # noqa: N818 - it is no error of the program
    """Why a row cannot be used: the problem's kind, the column, and details."""

    def __init__(self, kind: str, column: str | None = None, detail: str = "") -> None:
        self.kind, self.column, self.detail = kind, column, detail[:_LONGEST_DETAIL]


class _Table(NamedTuple):
    """A table and what its columns are."""

    file: SplitFile
    rows: Rows
    columns: Columns


def read(name: str, files: TableFiles, problems: Problems) -> RawDataset:
    """Reads the tables; the columns that were found in each are a note.

    Args:
        name: the data set's name.
        files: the tables.
        problems: problems found so far; those of the tables are added.

    Raises:
        InputError: if a table cannot be read, a column is missing, ambiguous or of unknown splits, the split is
            contradictory, or the questions for training or validation have no answer.
    """
    read_so_far = TableQuestions()
    if files.images is not None:
        read_so_far.folder(files.images, files.image_name)  # it is checked before a large table is read
    listed = list_files(files, problems)
    for file in listed:
        table = _open(file, read_so_far, files, problems)
        label = _label_of(file.path, listed) if len(listed) > 1 or table.columns.id else None
        _Reader(table, files, problems, read_so_far, label).read()
    read_so_far.check_answers(problems)
    splits = read_so_far.with_distinct_ids(problems)
    several_people = any(len(question.answers) > 1 for part in splits.values() for question in part)
    return RawDataset(
        name=name,
        train=splits[TRAIN],
        validation=splits[VALIDATION] or None,
        test=splits[TEST],
        unanswered=splits[UNANSWERED],
        images=read_so_far.images,
        training_defaults={"epochs": 20, "questions_per_image": 3},
        metrics=("vqa", "accuracy") if several_people else ("accuracy",),
        top_answers=TOP_ANSWERS,
    )


def _open(file: SplitFile, read_so_far: TableQuestions, files: TableFiles, problems: Problems) -> _Table:
    rows = read_rows(file.path, problems, PictureFolder(files.embedded), files.columns.get(IMAGE, ()))
    try:
        columns = find_columns(rows, files.columns)
    except InputError as error:
        if any(map(is_question, rows.columns)) or not _has_ids_of_questions(rows):
            raise
        questions = read_so_far.without_answers
        raise _two_files(questions[0] if questions else "FILE", file.path) from error
    if columns.split and SPLIT not in files.columns and (file.chosen or not _has_splits(rows, columns.split)):
        if file.split is None and simplify(columns.split) in NAMES[SPLIT][0]:
            raise _unknown_splits(rows, columns.split)
        columns = replace(columns, split=None)
    told = f"; all rows: {file.split}" if file.split else ""
    problems.note(f"{file.path}: {len(rows.rows):,} {'row' if len(rows.rows) == 1 else 'rows'}; {columns}{told}")
    if note := note_on_places(rows, columns):
        problems.note(note)
    return _Table(file, rows, columns)


def _label_of(path: Path, files: Sequence[SplitFile]) -> str:
    """What rows of a table that have no id are called, beside their number."""
    alike = [file for file in files if file.path.stem == path.stem]
    return path.stem if len(alike) == 1 else f"{path.parent.name}/{path.stem}"


def _has_splits(rows: Rows, column: str) -> bool:
    """Whether a column really says splits; VQA-RAD's `phrase_type` does if it has values such as `test_freeform`."""
    values = {value for row in rows.rows if isinstance(value := row.get(column), str)}
    if simplify(column) == "phrasetype":
        return any(value.casefold().startswith("test") for value in values)
    return any(map(split_of_word, values))


class _Reader:
    """Reads the rows of one table."""

    def __init__(
        self, table: _Table, files: TableFiles, problems: Problems, read_so_far: TableQuestions, label: str | None
    ) -> None:
        self._file, self._rows, self._columns = table
        self._problems = problems
        self._read = read_so_far
        self._label = label
        folder = self._file.path.parent if files.images is None else files.images
        self._folder = read_so_far.folder(folder, files.image_name)
        named = IMAGE in files.columns
        self._image_ids = None if named else image_ids_beside(self._columns.image, self._rows.columns)

    def read(self) -> None:
        """Adds the questions of all rows to the splits, and their pictures to the images."""
        for index, row in enumerate(self._rows.rows):
            try:
                split, question = self._split(row), self._question(index, row)
            except _Unusable as error:
                where = self._rows.where(index, error.column)
                self._problems.lose(error.kind, where, error.detail, file=self._rows.path)
                continue
            if question.answer:
                self._read.splits[split].append(question)
                continue
            self._read.splits[UNANSWERED].append(question)
            self._read.unanswered[split].add(self._rows.where(index))
            if split != TEST and not self._columns.answers and self._read.without_answers is None:
                self._read.without_answers = self._rows.path, self._rows.columns

    def _split(self, row: Mapping[str, object]) -> str:
        column = self._columns.split
        if column is None:
            return self._file.split or TRAIN
        value = str(row.get(column) or "")
        if simplify(column) == "phrasetype":
            found: str | None = TEST if value.casefold().startswith("test") else TRAIN
        else:
            found = split_of_word(value)
        if found is None:
            raise _Unusable("unknown split, left out", column, f"{value!r}; accepted: train, validation, test")
        if self._file.split not in {None, found} and not (simplify(column) == "phrasetype" and found == TRAIN):
            raise InputError(
                f"{self._file.path}: the name of the file says {self._file.split}, its column {column} says {value!r}; "
                f"--column split={column} uses the column, --train, --validation and --test FILE the files"
            )
        return self._file.split or found

    def _question(self, index: int, row: Mapping[str, object]) -> Question:
        columns = self._columns
        text = row.get(columns.question)
        if not isinstance(text, str) or not text.strip():
            raise _Unusable("no question, left out", columns.question, "" if text in (None, "") else repr(text)[:80])
        text = text.strip()
        words = len(tokenize(text))
        if words > LONGEST_QUESTION:
            raise _Unusable(f"question of more than {LONGEST_QUESTION:,} words, left out", columns.question)
        if not words:
            self._problems.add("question without a word", self._rows.where(index, columns.question), text[:80])
        right = row.get(columns.right_answer) if columns.right_answer else None
        try:
            answers = read_answers([row.get(name) for name in columns.answers], right)
        except InputError as error:
            names = ", ".join(columns.answers)
            raise _Unusable("answer cannot be read, left out", names, str(error)) from error
        number = read_id(row.get(columns.id)) if columns.id else None
        return Question(
            text=text,
            answer=answers.right,
            image=self._image(row),
            id=self._number(index) if number is None else number,
            answers=answers.people,
            answer_type=_label(row, columns.answer_type),
            question_type=_label(row, columns.question_type),
        )

    def _number(self, index: int) -> int | str:
        """The id of a row that has none: its number in the file, after the name of the file if that is needed."""
        number = self._rows.numbers[index]
        return number if self._label is None else f"{self._label}-{number}"

    def _image(self, row: Mapping[str, object]) -> str:
        """The key of the image that a row names."""
        column = self._columns.image
        value, image_id = row.get(column), row.get(self._image_ids) if self._image_ids else None
        if not picture_names(value, image_id):
            raise _Unusable("row names no picture, left out", column, "" if value is None else repr(value)[:80])
        try:
            return self._read.key_of(find_picture(self._folder, value, image_id, beside=self._file.path))
        except DifferentPicturesError as error:
            raise _Unusable("image and image_id are different pictures, left out", column, str(error)) from error
        except InputError as error:
            raise _Unusable("picture not found, left out", column, str(error)) from error


def _label(row: Mapping[str, object], column: str | None) -> str:
    """A kind of question or answer; empty for what is not a short text."""
    value = row.get(column) if column else None
    return value.strip() if isinstance(value, str) and len(value) <= 80 else ""


def _unknown_splits(rows: Rows, column: str) -> InputError:
    values = list(dict.fromkeys(str(row.get(column)) for row in rows.rows))
    shown = ", ".join(repr(value[:_LONGEST_VALUE]) for value in values[:_SHOWN])
    more = ", ..." if len(values) > _SHOWN else ""
    return InputError(
        f"{rows.path}: its column {column} says no split, but {shown}{more}; accepted: train, validation, test; "
        f"--column split=NAME names another column, --train FILE takes all rows for training"
    )


def _has_ids_of_questions(rows: Rows) -> bool:
    return any(simplify(name) == "questionid" for name in rows.columns)


def _two_files(questions: Path | str, annotations: Path) -> InputError:
    return InputError(
        f"{annotations} has answers without questions, as in the layout of VQA, which python -m san_core.prepare vqa "
        f"--questions {questions} --annotations {annotations} --images FOLDER prepares"
    )
