"""VQA v1 and v2, and the user's own questions in the same layout.

A split is a JSON file of questions, a JSON file of annotations with ten people's answers to each question, and a folder
of images. The official validation questions are the test split here, since the official test questions have no public
answers. The official test questions are prepared too if they are there, to be answered by a trained model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from san_core.data.answers.forms import as_written, most_frequent, read_answer
from san_core.data.ids import read_id
from san_core.data.images.folder import ImageFolder
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset, VQAFiles
from san_core.data.readers.pairs import Entry, pair_entries, read_entries, unique_entries
from san_core.data.vocabulary import tokenize
from san_core.errors import InputError
from san_core.files import find, find_or_none, is_folder

PEOPLE = 10
"""Number of people who answered each question."""

TOP_ANSWERS = 1000
"""Size of the answer vocabulary in the paper."""


def read(version: str, root: Path, problems: Problems) -> RawDataset:
    """Reads VQA v1 or v2.

    Args:
        version: `v1` or `v2`.
        root: folder with the official JSON files and the folders of images, or with folders that hold them.
        problems: problems found so far; those of the files are added.

    Raises:
        InputError: if the training files are missing, or a file cannot be read.
    """
    prefix = "v2_" if version == "v2" else ""
    train = _official(root, prefix, "train2014", answered=True)
    if train is None:
        find(root, [f"{prefix}OpenEnded_mscoco_train2014_questions.json"], f"questions of VQA {version}")
    unanswered = _official(root, prefix, "test2015", answered=False)
    if unanswered and not is_folder(unanswered.images):  # training does not need them
        problems.add("no folder of their images, all its questions are left out", unanswered.questions, "test2015")
        unanswered = None
    test = _official(root, prefix, "val2014", answered=True)
    dataset = read_own(f"vqa-{version}", train, test, problems, unanswered=unanswered)
    return replace(dataset, answer_key=as_written)


def read_own(
    name: str,
    train: VQAFiles | None,
    test: VQAFiles | None,
    problems: Problems,
    *,
    unanswered: VQAFiles | None = None,
) -> RawDataset:
    """Reads questions in the layout of VQA.

    Args:
        name: the data set's name.
        train: training questions.
        test: test questions; without annotations they become the unanswered ones.
        problems: problems found so far; those of the files are added.
        unanswered: questions to be answered by a trained model.

    Raises:
        InputError: if a file cannot be read, or the training questions have no annotations.
    """
    if train is None or train.annotations is None:
        raise InputError(f"{name} needs training questions with annotations")
    if test is not None and test.annotations is None:
        test, unanswered = None, test
    images = _Images({}, {})
    questions = _read_split(train, images, problems)
    several_people = any(len(question.answers) > 1 for question in questions)
    return RawDataset(
        name=name,
        train=questions,
        test=_read_split(test, images, problems),
        unanswered=_read_split(unanswered, images, problems),
        images=images.files,
        not_found=images.not_found,
        training_defaults={"epochs": 20, "questions_per_image": 3},
        metrics=("vqa", "accuracy") if several_people else ("accuracy",),
        top_answers=TOP_ANSWERS,
    )


def _official(root: Path, prefix: str, part: str, *, answered: bool) -> VQAFiles | None:
    """The files of a split under their official names; None if its question file is missing."""
    questions = find_or_none(root, [f"{prefix}OpenEnded_mscoco_{part}_questions.json"])
    if questions is None:
        return None
    annotations = f"{prefix}mscoco_{part}_annotations.json"
    folder = find(root, [part], f"folder of images {part}") if answered else find_or_none(root, [part]) or root / part
    return VQAFiles(
        questions=questions,
        annotations=find(root, [annotations], f"annotations to {questions.name}") if answered else None,
        images=folder,
        image_name=f"COCO_{part}_{{image_id:012d}}.jpg",
    )


def _read_split(files: VQAFiles | None, images: "_Images", problems: Problems) -> list[Question]:
    """Reads the questions of a split, and adds the files of their images to `images`."""
    if files is None:
        return []
    folder = ImageFolder(files.images, pattern=files.image_name, beside=files.questions)
    asked = read_entries(files.questions, "questions", problems)
    if files.annotations:
        pairs = pair_entries(asked, read_entries(files.annotations, "annotations", problems), problems)
    else:
        pairs = [(entry, None) for entry in unique_entries(asked, problems)]
    read = (
        _read_question(files, entry, annotation, partial(images.add, folder), problems) for entry, annotation in pairs
    )
    questions = [question for question in read if question]
    _check_people(files, questions, problems)
    return questions


def _check_people(files: VQAFiles, questions: Sequence[Question], problems: Problems) -> None:
    """Reports questions with fewer than ten answers, unless all have fewer, as the user's own data may have."""
    if any(len(question.answers) >= PEOPLE for question in questions):
        for question in questions:
            if len(question.answers) < PEOPLE:
                where = f"{files.annotations} question_id {question.id}"
                problems.add(f"fewer than {PEOPLE} answers", where, f"{len(question.answers)}")


def _read_question(
    files: VQAFiles, entry: Entry, annotation: Entry | None, image_key: Callable[[int | str], str], problems: Problems
) -> Question | None:
    text, image = entry.record.get("question"), _image_of(entry.record)
    if not isinstance(text, str) or image is None:
        problems.lose("entry without a question or an image_id, left out", entry, _values(entry), file=files.questions)
        return None
    if files.annotations and annotation is None:
        problems.lose("question without an annotation, left out", entry, file=files.questions)
        return None
    if not tokenize(text):
        problems.add("question without a word", entry)
    record = annotation.record if annotation else {}
    written = _written_answers(record)
    if any(isinstance(answer, bool) for answer in (*written, record.get("multiple_choice_answer"))):
        problems.add("answer is true or false, taken as yes or no", annotation)
    answers = tuple(filter(None, map(_answer_text, written)))
    modal = _answer_text(record.get("multiple_choice_answer")) or most_frequent(answers)
    if annotation and not modal:
        problems.lose("annotation without an answer, left out", annotation, file=files.questions)
        return None
    return Question(
        text=text,
        answer=modal,
        image=image_key(image),
        id=entry.id,
        answers=answers,
        answer_type=str(record.get("answer_type") or ""),
        question_type=str(record.get("question_type") or ""),
    )


def _image_of(record: Mapping[str, Any]) -> int | str | None:
    """What an entry calls its image: its `image`, a name, as in the lists of `predict --questions`, or its image_id."""
    image = record.get("image")
    return image if isinstance(image, str) and image.strip() else read_id(record.get("image_id"))


def _values(entry: Entry) -> str:
    """What an entry has as its question and its image_id."""
    record = entry.record
    return ", ".join(f"{key} {record[key]!r:.60}" if key in record else f"no {key}" for key in ("question", "image_id"))


def _written_answers(annotation: Mapping[str, Any]) -> list[object]:
    listed = annotation.get("answers")
    return [entry.get("answer") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _answer_text(answer: object) -> str:
    """An answer as text; empty if there is none. A text is an answer whatever it is: JSON has a null for none."""
    return answer if isinstance(answer, str) and answer.strip() else read_answer(answer)


@dataclass(frozen=True)
class _Images:
    """The images of all splits.

    Attributes:
        files: the file of each image key.
        not_found: why an image was not found, by its key.
    """

    files: dict[str, Path]
    not_found: dict[str, str]

    def add(self, folder: ImageFolder, name: int | str) -> str:
        """Adds an image of a folder, and returns its key.

        The key is the name of the file and its folder, with as many parent folders as it takes to differ from others.
        """
        reason = ""
        try:
            path = folder.find(name)
        except InputError as error:
            path, reason = folder.expected(name), str(error)
        parts = path.absolute().parts
        keys = ("/".join(parts[-count:]) for count in range(2, len(parts) + 1))
        key = next(key for key in keys if self.files.setdefault(key, path) == path)
        if reason:
            self.not_found[key] = reason
        return key
