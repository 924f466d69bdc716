"""VQA v1 and v2, and the user's own questions in the same layout.

A split is a JSON file of questions, a JSON file of annotations with ten people's answers to each question, and a folder
of images. The official validation questions are the test split here, since the official test questions have no public
answers. The official test questions are prepared too if they are there, to be answered by a trained model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from san_core.data.answers.forms import as_written, read_answer
from san_core.data.ids import id_key
from san_core.data.images.folder import ImageFolder
from san_core.data.images.of_row import DifferentPicturesError, add_image, find_picture, picture_names
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset, VQAFiles
from san_core.data.readers.pairs import Entry, Pair, pair_entries, read_entries, unique_entries
from san_core.data.tables.answer_cells import Answers, read_answers
from san_core.data.vocabulary import tokenize
from san_core.errors import InputError
from san_core.files import find, find_or_none, is_folder

PEOPLE = 10
"""Number of people who answered each question."""

TOP_ANSWERS = 1000
"""Size of the answer vocabulary in the paper."""

_SHOWN = 3


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
    """Reads questions in the layout of VQA. Those whose annotation has no answer are unanswered, too.

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
    parts = {
        split: _read_split(files, images, problems)
        for split, files in (("train", train), ("test", test), ("unanswered", unanswered))
    }
    questions, tested = ([question for question in parts[split] if question.answer] for split in ("train", "test"))
    if parts["train"] and not questions:
        raise InputError(f"no training question has an answer in {train.annotations}")
    return RawDataset(
        name=name,
        train=questions,
        test=tested,
        unanswered=_unanswered(parts, problems),
        images=images.files,
        not_found=images.not_found,
        training_defaults={"epochs": 20, "questions_per_image": 3},
        metrics=("vqa", "accuracy") if any(len(q.answers) > 1 for q in questions) else ("accuracy",),
        top_answers=TOP_ANSWERS,
    )


def _unanswered(parts: Mapping[str, Sequence[Question]], problems: Problems) -> list[Question]:
    """The questions without an answer of all splits. An id that two splits have gets the split's name."""
    asked = [(split, question) for split, part in parts.items() for question in part if not question.answer]
    counts = Counter(id_key(question.id) for _, question in asked)
    repeated = [question.id for _, question in asked if counts[id_key(question.id)] > 1]
    if repeated:
        problems.note(
            f"several splits have unanswered questions with the same id, such as {repeated[0]!r}; in the results their "
            f"ids have the split in front, as in train:{repeated[0]}"
        )
    return [
        replace(question, id=f"{split}:{question.id}") if counts[id_key(question.id)] > 1 else question
        for split, question in asked
    ]


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
    read = (_read_question(files, pair, (folder, images), problems) for pair in pairs)
    questions = [question for question in read if question]
    if files.annotations:
        _check_people(files, questions, problems)
    return questions


def _check_people(files: VQAFiles, questions: Sequence[Question], problems: Problems) -> None:
    """Reports questions without an answer, and those with fewer than ten.

    The latter unless all have fewer, as the user's own data may have.
    """
    if without := [question for question in questions if not question.answer]:
        ids = ", ".join(str(question.id) for question in without[:_SHOWN]) + (", ..." if len(without) > _SHOWN else "")
        problems.note(
            f"{files.annotations}: {len(without):,} questions have no answer (question_id {ids}); "
            "retraining answers them"
        )
    if any(len(question.answers) >= PEOPLE for question in questions):
        for question in questions:
            if question.answer and len(question.answers) < PEOPLE:
                where = f"{files.annotations} question_id {question.id}"
                problems.add(f"fewer than {PEOPLE} answers", where, f"{len(question.answers)}")


def _read_question(
    files: VQAFiles, pair: Pair, pictures: tuple[ImageFolder, "_Images"], problems: Problems
) -> Question | None:
    """Reads a question and the answers to it; None, and a problem, if it cannot be used."""
    entry, annotation = pair
    folder, images = pictures
    text = entry.record.get("question")
    if not isinstance(text, str) or not picture_names(entry.record.get("image"), entry.record.get("image_id")):
        problems.lose("entry without a question or an image_id, left out", entry, _values(entry), file=files.questions)
        return None
    if files.annotations and annotation is None:
        problems.lose("question without an annotation, left out", entry, file=files.questions)
        return None
    if not tokenize(text):
        problems.add("question without a word", entry)
    record = annotation.record if annotation else {}
    try:
        answers, image = _read_answers(annotation, problems), images.add(folder, entry.record)
    except DifferentPicturesError as error:
        problems.lose("image and image_id are different pictures, left out", entry, str(error), file=files.questions)
        return None
    except InputError as error:
        problems.lose("answers cannot be read, left out", annotation, str(error), file=files.questions)
        return None
    return Question(
        text=text,
        answer=answers.right,
        image=image,
        id=entry.id,
        answers=answers.people,
        answer_type=str(record.get("answer_type") or ""),
        question_type=str(record.get("question_type") or ""),
    )


def _values(entry: Entry) -> str:
    """What an entry has as its question and its image_id."""
    record = entry.record
    return ", ".join(f"{key} {record[key]!r:.60}" if key in record else f"no {key}" for key in ("question", "image_id"))


def _read_answers(annotation: Entry | None, problems: Problems) -> Answers:
    """The answers of an annotation: `answers`, or else `answer`, and `multiple_choice_answer` as the right one.

    Raises:
        InputError: if they are something else than answers. The message has the value, and what is accepted.
    """
    record = annotation.record if annotation else {}
    truths = []

    def read(answer: object) -> str:
        if isinstance(answer, bool):
            truths.append(answer)
        # A text is an answer whatever it is: JSON has a null for none.
        return answer if isinstance(answer, str) and answer.strip() else read_answer(answer)

    given = record.get("answers")
    given = record.get("answer") if given in (None, "", []) else given
    try:
        answers = read_answers([given], record.get("multiple_choice_answer"), read=read)
    except InputError as error:
        accepted = "texts or objects with an answer"
        raise InputError(f"{error}; accepted: {accepted}; found: {given!r:.80}") from error
    if truths:
        problems.add("answer is true or false, taken as yes or no", annotation)
    return answers


@dataclass(frozen=True)
class _Images:
    """The images of all splits.

    Attributes:
        files: the file of each image key.
        not_found: why an image was not found, by its key.
    """

    files: dict[str, Path]
    not_found: dict[str, str]

    def add(self, folder: ImageFolder, record: Mapping[str, Any]) -> str:
        """Adds the image of an entry, and returns its key.

        The key is the name of the file and its folder, with as many parent folders as it takes to differ from others.

        Raises:
            DifferentPicturesError: if the entry names two.
        """
        image, image_id, reason = record.get("image"), record.get("image_id"), ""
        try:
            path = find_picture(folder, image, image_id)
        except DifferentPicturesError:
            raise
        except InputError as error:
            path, reason = folder.expected(str(picture_names(image, image_id)[0])), str(error)
        key = add_image(self.files, path, parts=2)
        if reason:
            self.not_found[key] = reason
        return key
