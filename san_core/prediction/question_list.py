"""Reads lists of questions to answer: in the official VQA layout, or with the names of image files."""

from dataclasses import dataclass
from pathlib import Path

from san_core.data.ids import read_id
from san_core.data.image_folder import ImageFolder
from san_core.data.problems import Problems
from san_core.data.readers.pairs import Entry, read_entries, unique_entries
from san_core.errors import InputError


@dataclass(frozen=True)
class ListedQuestion:
    """A question of a list.

    Attributes:
        id: number of the question: its question_id in the list.
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


def read_questions(path: Path, images: Path, image_name: str | None, problems: Problems) -> list[ListedQuestion]:
    """Reads the questions of a list.

    Args:
        path: JSON file: `{"questions": [...]}` or the list alone. An entry has `question_id`, `question`, and
            `image`, a file name, or else `image_id`.
        images: folder of the images, see `ImageFolder`.
        image_name: Python format that makes a file name of an `image_id`; None to only search.
        problems: problems found so far; every entry that is left out is added, with the reason. Entries with the same
            question_id are left out, since nobody could tell whose answer is whose; of equal ones the first stays.

    Raises:
        InputError: if the file is not such a list, or `image_name` not such a format.
    """
    folder = ImageFolder(images, pattern=image_name, beside=path)
    entries = unique_entries(read_entries(path, "questions", problems), problems)
    read = (_read_entry(entry, folder, problems) for entry in entries)
    return [question for question in read if question]


def _read_entry(entry: Entry, folder: ImageFolder, problems: Problems) -> ListedQuestion | None:
    text = entry.record.get("question")
    try:
        if not isinstance(text, str):
            raise _EntryError("no question, left out", "" if text is None else repr(text)[:80])
        if not text.strip():
            raise _EntryError("empty question, left out")
        return ListedQuestion(entry.id, text, _find_image(entry, folder), entry.file)
    except _EntryError as reason:
        problems.lose(reason.kind, f"question_id {entry.id!r}", reason.detail, file=entry.file)
        return None


class _EntryError(Exception):
    """Why an entry is left out; see `Problem`."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


def _find_image(entry: Entry, folder: ImageFolder) -> Path:
    image, image_id = entry.record.get("image"), read_id(entry.record.get("image_id"))
    name = image if isinstance(image, str) and image.strip() else image_id
    if name is None:
        raise _EntryError("neither an image, which is a file name, nor an image_id, left out")
    try:
        return folder.find(name)
    except InputError as error:
        raise _EntryError("image not found, its question is left out", f"{name!r}: {error}") from error
