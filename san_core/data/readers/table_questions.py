"""The questions that tables have, the files of their pictures, and what the tables lack."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from san_core.data.ids import id_key
from san_core.data.images.folder import ImageFolder
from san_core.data.images.of_row import add_image
from san_core.data.prepared import SPLITS
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.tables.column_names import ANSWER
from san_core.data.tables.columns import missing_column
from san_core.errors import InputError

TRAIN, VALIDATION, TEST, UNANSWERED = SPLITS
_SHOWN = 3


@dataclass
class Unanswered:
    """The rows of a split that have no answer: their number, and where the first ones are."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        """Counts a row; `where` is its place as messages say it."""
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(where)


@dataclass
class TableQuestions:
    """What was read so far.

    Attributes:
        splits: the questions of each split.
        unanswered: for each split its rows without an answer.
        without_answers: the path and the columns of the first table that has rows for training or validation, but no
            column of answers.
        images: the file of each image key.
        keys: the key of each image file.
        folders: the folders of images; all tables share one, so that it finds every picture in the same way.
    """

    splits: dict[str, list[Question]] = field(default_factory=lambda: {name: [] for name in SPLITS})
    unanswered: dict[str, Unanswered] = field(default_factory=lambda: {name: Unanswered() for name in SPLITS})
    without_answers: tuple[Path, Sequence[str]] | None = None
    images: dict[str, Path] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)
    folders: dict[Path, ImageFolder] = field(default_factory=dict)

    def folder(self, path: Path, pattern: str | None) -> ImageFolder:
        """The folder of images at a path, which is made once; arguments as for `ImageFolder`."""
        if path not in self.folders:
            self.folders[path] = ImageFolder(path, pattern=pattern)
        return self.folders[path]

    def key_of(self, path: Path) -> str:
        """The key of an image: its name, with as many of its folders as it takes to differ from other images."""
        if path not in self.keys:
            self.keys[path] = add_image(self.images, path, parts=1)
        return self.keys[path]

    def check_answers(self, problems: Problems) -> None:
        """Tells of rows without an answer.

        Raises:
            InputError: if a table for training or validation has no column of answers, or none of their rows has one.
        """
        if self.without_answers:
            error = missing_column(*self.without_answers, ANSWER)
            raise InputError(
                f"{error}; rows to be answered by the trained model are for the test (--test FILE); answers in a file "
                "of their own, as VQA has them: python -m san_core.prepare vqa"
            )
        if not self.splits[TRAIN]:
            problems.check_losses()
            raise InputError("no row of the split train has an answer")
        if self.unanswered[VALIDATION].count and not self.splits[VALIDATION]:
            raise InputError(
                "no row of the split validation has an answer; rows that the model shall answer are for the test"
            )
        for split, rows in self.unanswered.items():
            if rows.count:
                places = ", ".join(rows.first) + (", ..." if rows.count > _SHOWN else "")
                those, them = ("row", "it") if rows.count == 1 else ("rows", "them")
                problems.note(
                    f"{rows.count:,} {those} of {split} without an answer ({places}); retraining answers {them}"
                )

    def with_distinct_ids(self, problems: Problems) -> dict[str, list[Question]]:
        """The questions of each split, with ids that no other question of the split has."""
        return {split: _with_distinct_ids(part, split, problems) for split, part in self.splits.items()}


def _with_distinct_ids(questions: Sequence[Question], split: str, problems: Problems) -> list[Question]:
    """The questions of a split with an id for each that no other has: repeated ones get a number."""
    taken = {id_key(question.id) for question in questions}
    last: Counter[str] = Counter()
    repeated: Counter[str] = Counter()
    found: list[Question] = []
    for question in questions:
        given = id_key(question.id)
        last[given] += 1
        if last[given] > 1:
            repeated[given] += 1
            while (made := f"{question.id}-{last[given]}") in taken:
                last[given] += 1
            taken.add(made)
            question = replace(question, id=made)
        found.append(question)
    if repeated:
        ((number, count),) = repeated.most_common(1)
        problems.note(
            f"{len(repeated):,} ids of {split} repeat, such as {number!r} {count + 1:,} times; they are labels only, "
            f"later ones become {number}-2 and so on"
        )
    return found
