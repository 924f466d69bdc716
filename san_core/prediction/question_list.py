"""Reads lists of questions to answer: in the official VQA layout, or with the names of image files."""

from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from san_core.data.problems import Problems
from san_core.data.readers.text_files import read_id, read_records
from san_core.errors import InputError


@dataclass(frozen=True)
class ListedQuestion:
    """A question of a list.

    Attributes:
        id: number of the question: its question_id in the list.
        text: the question.
        image: file of the image it is about.
    """

    id: int | str
    text: str
    image: Path

    def __str__(self) -> str:
        return f"question_id {self.id!r}"


def read_questions(
    path: Path, images: Path, image_name: str | None, problems: Problems
) -> tuple[list[ListedQuestion], int]:
    """Reads the questions of a list; also returns the number of entries that were left out.

    Args:
        path: JSON file: `{"questions": [...]}` or the list alone. An entry has `question_id`, `question`, and
            `image`, a file name, or else `image_id`.
        images: folder the file names are relative to.
        image_name: Python format that makes a file name of an `image_id`.
        problems: problems found so far; every entry that is left out is added, with the reason.

    Raises:
        InputError: if the file is not such a list, or `image_name` not such a format.
    """
    if image_name is not None:
        _check(image_name)
    entries = read_records(path, "questions", problems)
    questions: dict[str, ListedQuestion] = {}
    for index, entry in enumerate(entries):
        try:
            question = _read_entry(entry, images, image_name)
            if str(question.id) in questions:
                raise InputError("an earlier entry has the same question_id")
            questions[str(question.id)] = question
        except InputError as error:
            number = entry.get("question_id") if isinstance(entry, dict) else None
            problems.add(
                "left out", f"{path} questions[{index}]" if number is None else f"question_id {number!r}", str(error)
            )
    return list(questions.values()), len(entries) - len(questions)


def _check(image_name: str) -> None:
    try:
        fields = {field for _, field, _, _ in Formatter().parse(image_name) if field is not None}
    except ValueError:
        fields = set()
    if fields != {"image_id"}:
        raise InputError(
            f"--image-name must be a Python format with {{image_id}}, such as COCO_val2014_{{image_id:012d}}.jpg, "
            f"but got {image_name!r}"
        )


def _read_entry(entry: object, images: Path, image_name: str | None) -> ListedQuestion:
    if not isinstance(entry, dict):
        raise InputError("not a JSON object")
    number, text = read_id(entry.get("question_id")), entry.get("question")
    if number is None:
        raise InputError("no question_id that is a whole number or a text")
    if not isinstance(text, str):
        raise InputError("no question")
    if not text.strip():
        raise InputError("the question is empty")
    return ListedQuestion(number, text, images / _file_name(entry.get("image"), entry.get("image_id"), image_name))


def _file_name(image: object, image_id: object, image_name: str | None) -> str:
    if isinstance(image, str) and image:
        return image
    if read_id(image_id) is None:
        raise InputError("neither an image, which is a file name, nor an image_id")
    if image_name is None:
        raise InputError("an image_id, but no --image-name to make a file name of it")
    try:
        return image_name.format(image_id=image_id)
    except (LookupError, ValueError) as error:
        raise InputError(f"--image-name {image_name!r} does not fit image_id {image_id!r}: {error}") from error
