"""DAQUAR: questions about indoor photographs (NYU depth), in two sizes.

ALL has 894 object classes, REDUCED 37 and 25 test images. A file alternates question and answer; a
question ends in "in the imageN ?"; the things of an answer of several things are separated by ", ".
"""

import re
from collections.abc import Iterable
from pathlib import Path

from san_core.data.answers.forms import things_form
from san_core.data.images.folder import ImageFolder
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.data.text_files import read_lines
from san_core.errors import InputError
from san_core.files import find

FILES = {
    "all": ("qa.894.raw.train.txt", "qa.894.raw.test.txt"),
    "reduced": ("qa.37.raw.train.txt", "qa.37.raw.reduced.test.txt"),
}

ONE, SEVERAL = "one thing", "several things"

# Questions end in "in the image7 ?", "on this image7 ?", "of the image7 ?" and the like, one in "th eimage999 ?".
_QUESTION = re.compile(
    r"(?P<text>.*?)\s*(?:\b(?:in|on|of|at|from)\s+)?(?:\b(?:the|this|th e)\s*)?image\s*(?P<image>\d+)\s*\?*"
)


def read(size: str, root: Path, problems: Problems, *, single_answers: bool) -> RawDataset:
    """Reads the data set in one of its sizes, with its official split.

    Args:
        size: `all` or `reduced`.
        root: folder with the question files and a folder of images.
        problems: problems found so far; those of the files are added.
        single_answers: leave out questions whose answer is several things, as the SAN paper does. Otherwise all
            pairs are kept, as in the other literature.

    Raises:
        InputError: if a file is missing or cannot be read.
    """
    train, test = (_read_pairs(find(root, [file], f"DAQUAR question file {file}"), problems) for file in FILES[size])
    if single_answers:
        train, test = ([q for q in part if q.answer_type == ONE] for part in (train, test))
    folder = ImageFolder(find(root, ["images", "nyu_depth_images"], "folder of DAQUAR images"))
    images, not_found = _find_images(folder, {question.image for question in (*train, *test)})
    return RawDataset(
        name=f"daquar-{size} ({'single answers only' if single_answers else 'all pairs'})",
        train=train,
        test=test,
        images=images,
        not_found=not_found,
        metrics=("accuracy", "wups@0.9", "wups@0.0"),
        training_defaults={
            "hidden_size": 384,
            "attention_size": 96,
            "questions_per_image": 5,
            "epochs": 12,
            "schedule": "cosine",
        },
        answer_key=things_form,
    )


def _read_pairs(path: Path, problems: Problems) -> list[Question]:
    """Reads the pairs of a file. Where a line is missing or added, only the lines beside it are left out."""
    lines = [*read_lines(path, problems), ""]  # an empty answer, if the last question has none
    questions: list[Question | None] = []
    index = entries = 0
    while index < len(lines) - 1:
        text, answer = lines[index : index + 2]
        step = 1
        if not text:
            problems.add("blank line, ignored", f"{path} line {index + 1}")
        elif _is_question(answer):
            kind = (
                "question without an answer, left out" if _is_question(text) else "answer without a question, left out"
            )
            problems.lose(kind, f"{path} line {index + 1}", repr(text), file=path)
        else:
            questions.append(_read_pair(path, index + 1, text, answer, problems))
            step = 2
        entries += bool(text)
        index += step
    problems.add_file(path, entries)
    return [question for question in questions if question]


def _is_question(line: str) -> bool:
    """Whether a line is a question: it ends in an image, or, damaged, at least in a question mark."""
    return line.endswith("?") or bool(_QUESTION.fullmatch(line))


def _read_pair(path: Path, line: int, text: str, answer: str, problems: Problems) -> Question | None:
    found = _QUESTION.fullmatch(text)
    if not found:
        problems.lose("question names no image, left out", f"{path} line {line}", repr(text), file=path)
        return None
    things = sorted({thing.strip() for thing in answer.split(",")} - {""})
    if not things:
        problems.lose("question without an answer, left out", f"{path} line {line}", repr(text), file=path)
        return None
    if not found["text"]:
        problems.add("empty question", f"{path} line {line}")
    return Question(
        text=found["text"],
        answer=", ".join(things),
        image=f"image{found['image']}",
        id=f"{path.stem}:{line}",
        answer_type=ONE if "," not in answer else SEVERAL,
    )


def _find_images(folder: ImageFolder, keys: Iterable[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The image file of each key, and the reason for each that is not found.

    The files are PNG in the official archive, JPEG in smaller copies of it.
    """
    images: dict[str, Path] = {}
    not_found: dict[str, str] = {}
    for key in keys:
        try:
            images[key] = folder.find(key)
        except InputError as error:
            images[key], not_found[key] = folder.expected(key), str(error)
    return images, not_found
