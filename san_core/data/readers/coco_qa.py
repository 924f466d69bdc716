"""COCO-QA: questions generated from the captions of COCO photographs; every answer is one word.

Each split is a folder of four files with one line per question: text, answer, image number and type.
"""

from pathlib import Path

from san_core.data.answers.forms import as_written
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.data.text_files import read_lines
from san_core.errors import InputError
from san_core.files import find

TYPES = {"0": "object", "1": "number", "2": "colour", "3": "location"}

_FILES = ("questions.txt", "answers.txt", "img_ids.txt", "types.txt")
_IMAGES = {"train": "train2014", "test": "val2014"}


def read(root: Path, problems: Problems) -> RawDataset:
    """Reads the data set with its official split.

    Args:
        root: folder with the folders `train` and `test` of question files, and the COCO images in
            `train2014` and `val2014`.
        problems: problems found so far; those of the files are added.

    Raises:
        InputError: if a file is missing or cannot be read, or the files of a split differ in length.
    """
    splits = {name: _read_split(root, name, problems) for name in _IMAGES}
    images = {name: find(root, [folder], f"folder of COCO images {folder}") for name, folder in _IMAGES.items()}
    return RawDataset(
        name="coco-qa",
        train=splits["train"],
        test=splits["test"],
        images={q.image: images[name] / Path(q.image).name for name, part in splits.items() for q in part},
        metrics=("accuracy", "wups@0.9", "wups@0.0"),
        answer_key=as_written,
        training_defaults={"hidden_size": 512, "attention_size": 512, "epochs": 20, "questions_per_image": 2},
    )


def _read_split(root: Path, name: str, problems: Problems) -> list[Question]:
    folder = find(root, [f"{name}/{_FILES[0]}", f"cocoqa/{name}/{_FILES[0]}"], f"COCO-QA {name} questions").parent
    columns = _same_length(folder, [read_lines(folder / file, problems) for file in _FILES])
    problems.add_file(folder, len(columns[0]))
    rows = (_read_line(folder, name, i, row, problems) for i, row in enumerate(zip(*columns, strict=True), start=1))
    return [question for question in rows if question]


def _same_length(folder: Path, columns: list[list[str]]) -> list[list[str]]:
    """The lines of files that belong together, without blank lines at the end of all of them.

    Raises:
        InputError: if a file has fewer lines: nobody knows where they are missing, and so which lines belong together.
    """
    counts = [max((number for number, line in enumerate(column, start=1) if line), default=0) for column in columns]
    if any(len(column) < max(counts) for column in columns):
        found = ", ".join(f"{file} {count:,}" for file, count in zip(_FILES, counts, strict=True))
        raise InputError(
            f"{folder} has files with different numbers of lines ({found}); accepted: one line per question in each, "
            "since a line that is missing gives all later questions a wrong answer"
        )
    return [column[: max(counts)] for column in columns]


def _read_line(folder: Path, split: str, line: int, row: tuple[str, ...], problems: Problems) -> Question | None:
    text, answer, image, kind = row
    if not image.isdecimal():
        problems.lose(
            "not an image number, left out", f"{folder / 'img_ids.txt'} line {line}", repr(image), file=folder
        )
        return None
    if not answer:
        problems.lose("question without an answer, left out", f"{folder / 'answers.txt'} line {line}", file=folder)
        return None
    if not text:
        problems.add("empty question", f"{folder / 'questions.txt'} line {line}")
    if kind not in TYPES:
        problems.add("unknown type of question", f"{folder / 'types.txt'} line {line}", repr(kind))
    file = f"{_IMAGES[split]}/COCO_{_IMAGES[split]}_{int(image):012d}.jpg"
    return Question(text, answer, file, id=f"{split}:{line}", answer_type=TYPES.get(kind, ""))
