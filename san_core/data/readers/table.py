"""The user's own questions in tables: a row has a question, its answer and the name of its picture.

A table is a JSON, JSON lines, CSV, TSV or Parquet file; see `san_core.data.tables.records`. Question, answer and
picture come from one row, so ids are only labels here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from san_core.command_line import print_message
from san_core.data.ids import id_key, read_id
from san_core.data.images.folder import ImageFolder
from san_core.data.prepared import SPLITS
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset, TableFiles
from san_core.data.readers.table_files import SplitFile, list_files
from san_core.data.tables.answer_cells import read_answers
from san_core.data.tables.column_names import ANSWER, IMAGE, SPLIT, is_question, simplify, split_of_word
from san_core.data.tables.columns import Columns, find_columns, missing_column
from san_core.data.tables.embedded_pictures import PictureFolder
from san_core.data.tables.records import Rows, read_rows
from san_core.data.vocabulary import tokenize
from san_core.errors import InputError

TOP_ANSWERS = 1000
"""Default size of the answer vocabulary, as for VQA."""

LONGEST_QUESTION = 1000
"""Longest question in words; a longer one is more likely a part of the file that a quote has swallowed."""

TRAIN, VALIDATION, TEST, UNANSWERED = SPLITS
_SHOWN = 3
_LONGEST_DETAIL = 160


class _Unusable(Exception):  # noqa: N818 - it is no error of the program
    """Why a row cannot be used: the problem's kind, the column, and details."""

    def __init__(self, kind: str, column: str | None = None, detail: str = "") -> None:
        self.kind, self.column, self.detail = kind, column, detail[:_LONGEST_DETAIL]


class _Found(NamedTuple):
    """A table that was read, what its columns are, and the names of all."""

    path: Path
    columns: Columns
    names: Sequence[str]


class _Table(NamedTuple):
    """A table and what its columns are."""

    file: SplitFile
    rows: Rows
    columns: Columns


@dataclass
class _Read:
    """What was read so far: the questions of each split, and the file of each image key."""

    splits: dict[str, list[Question]] = field(default_factory=lambda: {name: [] for name in SPLITS})
    images: dict[str, Path] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)

    def key_of(self, path: Path) -> str:
        """The key of an image: its name, with as many of its folders as it takes to differ from other images."""
        if path not in self.keys:
            parts = path.absolute().parts
            names = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
            self.keys[path] = next(name for name in names if self.images.setdefault(name, path) == path)
        return self.keys[path]


def read(name: str, files: TableFiles, problems: Problems) -> RawDataset:
    """Reads the tables, and prints the columns that were found in each.

    Args:
        name: the data set's name.
        files: the tables.
        problems: problems found so far; those of the tables are added.

    Raises:
        InputError: if a table cannot be read, a column is missing or ambiguous, the split is contradictory, or no
            question with an answer is left to train on.
    """
    if files.images is not None:
        ImageFolder(files.images, pattern=files.image_name)  # it is checked before a large table is read
    read_so_far = _Read()
    tables: list[_Found] = []
    for file in list_files(files):
        table = _open(file, tables, files, problems)
        tables.append(_Found(file.path, table.columns, table.rows.columns))
        _Reader(table, files, problems, read_so_far).read()
    splits = read_so_far.splits
    if not splits[TRAIN]:
        raise _nothing_to_train_on(tables, problems)
    splits = {split: _with_distinct_ids(part, split, problems) for split, part in splits.items()}
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


def _open(file: SplitFile, before: Sequence[_Found], files: TableFiles, problems: Problems) -> _Table:
    rows = read_rows(file.path, problems, PictureFolder(files.embedded), files.columns.get(IMAGE, ()))
    try:
        columns = find_columns(rows, files.columns)
    except InputError as error:
        if any(map(is_question, rows.columns)) or not _has_ids_of_questions(rows):
            raise
        questions = next((table.path for table in before if not table.columns.answers), "FILE")
        raise _two_files(questions, file.path) from error
    if columns.split and SPLIT not in files.columns and (file.chosen or not _has_splits(rows, columns.split)):
        columns = replace(columns, split=None)
    told = f"; all rows: {file.split}" if file.split else ""
    print_message(f"{file.path}: {len(rows.rows):,} rows; {columns}{told}")
    return _Table(file, rows, columns)


def _has_splits(rows: Rows, column: str) -> bool:
    """Whether a column really says splits; VQA-RAD's `phrase_type` does if it has values such as `test_freeform`."""
    values = {value for row in rows.rows if isinstance(value := row.get(column), str)}
    if simplify(column) == "phrasetype":
        return any(value.casefold().startswith("test") for value in values)
    return any(map(split_of_word, values))


class _Reader:
    """Reads the rows of one table."""

    def __init__(self, table: _Table, files: TableFiles, problems: Problems, found: _Read) -> None:
        self._file, self._rows, self._columns = table
        self._problems = problems
        self._found = found
        folder = self._file.path.parent if files.images is None else files.images
        self._folder = ImageFolder(folder, pattern=files.image_name, beside=self._file.path)
        self._found_before: dict[object, str | _Unusable] = {}

    def read(self) -> None:
        """Adds the questions of all rows to the splits, and their pictures to the images."""
        without_answer: dict[str, list[int]] = {name: [] for name in SPLITS}
        answered: Counter[str] = Counter()
        for index, row in enumerate(self._rows.rows):
            try:
                split, question = self._split(row), self._question(index, row)
            except _Unusable as error:
                where = self._rows.where(index, error.column)
                self._problems.lose(error.kind, where, error.detail, file=self._rows.path)
                continue
            if question.answer:
                answered[split] += 1
                self._found.splits[split].append(question)
            else:
                without_answer[split].append(index)
                self._found.splits[UNANSWERED].append(question)
        asked = [index for split, indices in without_answer.items() if answered[split] for index in indices]
        if asked:  # where none of a split has an answer, that is meant
            places = ", ".join(f"{self._rows.unit} {self._rows.places[index]}" for index in sorted(asked)[:_SHOWN])
            more = ", ..." if len(asked) > _SHOWN else ""
            self._problems.note(
                f"{self._rows.path}: {len(asked):,} rows have no answer ({places}{more}); retraining answers them"
            )

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
            id="" if number is None else number,
            answers=answers.people,
            answer_type=_label(row, columns.answer_type),
            question_type=_label(row, columns.question_type),
        )

    def _image(self, row: Mapping[str, object]) -> str:
        """The key of the image that a row names; a row without a name may have an `image_id`."""
        value = row.get(self._columns.image)
        if isinstance(value, Mapping):
            value = value.get("path")
        if value in (None, ""):
            value = row.get("image_id")
        name = value if isinstance(value, Path) else read_id(value)
        if name is None:
            detail = "" if value is None else repr(value)[:80]
            raise _Unusable("row names no picture, left out", self._columns.image, detail)
        if name not in self._found_before:
            self._found_before[name] = self._find(name)
        found = self._found_before[name]
        if isinstance(found, _Unusable):
            raise found
        return found

    def _find(self, name: Path | str | int) -> str | _Unusable:
        if isinstance(name, Path):
            return self._found.key_of(name)
        try:
            return self._found.key_of(self._folder.find(name))
        except (InputError, ValueError) as error:  # ValueError: a null byte in the name
            return _Unusable("picture not found, left out", self._columns.image, f"{str(name)[:80]!r}: {error}")


def _label(row: Mapping[str, object], column: str | None) -> str:
    """A kind of question or answer; empty for what is not a short text."""
    value = row.get(column) if column else None
    return value.strip() if isinstance(value, str) and len(value) <= 80 else ""


def _with_distinct_ids(questions: Sequence[Question], split: str, problems: Problems) -> list[Question]:
    """The questions of a split with an id for each. Those without one are numbered; repeated ones get a number."""
    taken = {id_key(question.id) for question in questions}
    counts: Counter[str] = Counter()
    found: list[Question] = []
    for question in questions:
        given = id_key(question.id)
        counts[given] += 1
        if counts[given] > 1 or not given:
            question = replace(question, id=_free(question.id, counts[given], taken))
        found.append(question)
    del counts[""]
    repeated = [(number, count) for number, count in counts.most_common() if count > 1]
    if repeated:
        number, count = repeated[0]
        problems.note(
            f"{len(repeated):,} ids of {split} repeat, such as {number!r} {count:,} times; they are labels only, later "
            f"ones become {number}-2 and so on"
        )
    return found


def _free(number: str | int, count: int, taken: set[str]) -> str | int:
    """An id that no other row has."""
    while (made := f"{number}-{count}" if number != "" else str(count)) in taken:
        count += 1
    taken.add(made)
    return made if number != "" else int(made)


def _has_ids_of_questions(rows: Rows) -> bool:
    return any(simplify(name) == "questionid" for name in rows.columns)


def _two_files(questions: Path | str, annotations: Path) -> InputError:
    return InputError(
        f"{annotations} has answers without questions, as in the layout of VQA, which python -m san_core.prepare vqa "
        f"--questions {questions} --annotations {annotations} --images FOLDER prepares"
    )


def _nothing_to_train_on(tables: Sequence[_Found], problems: Problems) -> InputError:
    """Why no question is left to train on."""
    problems.check_losses()
    without = next((table for table in tables if not table.columns.answers), None)
    if without is None:
        return InputError("no row of the split train has an answer")
    error = missing_column(without.path, without.names, ANSWER)
    return InputError(f"{error}; answers in a file of their own, as VQA has them: python -m san_core.prepare vqa")
