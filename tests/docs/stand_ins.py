"""Small things in the place of what the pages name: data sets, pictures, a run.

To add one: a function that makes it in a folder, and its name in `STAND_INS`.
"""

import csv
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = ("red", "green", "blue", "yellow")
TRAIN, TEST = range(1, 9), range(9, 12)
"""Numbers of the pictures of both splits."""

EXTENSIONS = (".jpg", ".JPG", ".png", ".jpg", ".webp", ".jpeg", ".bmp")

EASY_VQA = """
'''The package easy-vqa, with few pictures.'''
import json
from pathlib import Path

_ROOT = Path(__file__).parent

def _read(split):
    return json.loads((_ROOT / f"{split}.json").read_text())

def get_train_questions():
    return _read("train")

def get_test_questions():
    return _read("test")

def _paths(split):
    return {number: str(_ROOT / split / f"{number}.png") for number in set(_read(split)[2])}

def get_train_image_paths():
    return _paths("train")

def get_test_image_paths():
    return _paths("test")
"""


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def paint(path: Path, number: int) -> None:
    """A square whose colour follows from the number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (64, 64), "grey")
    edge = random.Random(number).randint(24, 40)
    ImageDraw.Draw(picture).rectangle((12, 12, 12 + edge, 12 + edge), fill=colour(number))
    picture.save(path)


def ask(numbers: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    """Question, answer and number of the picture, three for each."""
    for number in numbers:
        yield "what colour is the square?", colour(number), number
        yield "is the square red?", "yes" if colour(number) == "red" else "no", number
        yield "what shape is in the image?", "square", number


def easy_vqa(folder: Path) -> None:
    """The package, to be imported from a folder."""
    package = folder / "easy_vqa"
    for name, numbers in (("train", range(len(TRAIN))), ("test", range(len(TEST)))):
        for number in numbers:
            paint(package / name / f"{number}.png", number)
        (package / f"{name}.json").write_text(json.dumps(list(zip(*ask(numbers), strict=True))))
    (package / "__init__.py").write_text(EASY_VQA)


def daquar(folder: Path) -> None:
    """ALL and REDUCED in the authors' files."""
    for number in (*TRAIN, *TEST):
        paint(folder / "images" / f"image{number}.png", number)
    files = ("qa.894.raw.train.txt", "qa.37.raw.train.txt"), ("qa.894.raw.test.txt", "qa.37.raw.reduced.test.txt")
    for names, numbers in zip(files, (TRAIN, TEST), strict=True):
        lines = [f"{q.rstrip('?')} in the image{number} ?\n{answer}\n" for q, answer, number in ask(numbers)]
        for name in names:
            (folder / name).write_text("".join(lines))


def coco(folder: Path) -> None:
    """COCO-QA, VQA v1 and v2 in the authors' files, with COCO's names of pictures."""
    for split, place, numbers in (("train", "train2014", TRAIN), ("test", "val2014", TEST)):
        for number in numbers:
            paint(folder / place / f"COCO_{place}_{number:012d}.jpg", number)
        (folder / split).mkdir()
        columns = zip(*((*row, 2) for row in ask(numbers)), strict=True)
        for name, column in zip(("questions", "answers", "img_ids", "types"), columns, strict=True):
            (folder / split / f"{name}.txt").write_text("".join(f"{value}\n" for value in column))
        for prefix in ("", "v2_"):
            questions = folder / f"{prefix}OpenEnded_mscoco_{place}_questions.json"
            vqa(questions, folder / f"{prefix}mscoco_{place}_annotations.json", numbers)


def vqa(questions: Path, annotations: Path, numbers: Sequence[int] = TRAIN, people: int = 10) -> None:
    """Questions and annotations in the official VQA layout."""
    rows = list(enumerate(ask(numbers), start=1))
    question_entries = [{"question_id": i, "image_id": number, "question": text} for i, (text, _, number) in rows]
    annotation_entries = [
        {"question_id": i, "answers": [{"answer": answer}] * people, "answer_type": "other"}
        for i, (_, answer, _) in rows
    ]
    for path, key, entries in (
        (questions, "questions", question_entries),
        (annotations, "annotations", annotation_entries),
    ):
        path.write_text(json.dumps({key: entries}))


PHOTOS = {number: f"{number}{extension}" for number, extension in zip((*TRAIN, *TEST), cycle(EXTENSIONS))}
"""Names of the photographs, which are files of several kinds."""


def photos(folder: Path) -> None:
    for number, name in PHOTOS.items():
        paint(folder / name, number)


def table(path: Path) -> None:
    """Twenty questions about the photographs; the last two have no answer."""
    rows = [(PHOTOS[number], question, answer) for question, answer, number in ask((*TRAIN, *TEST))][:20]
    rows[-2:] = [(name, question, "") for name, question, _ in rows[-2:]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "question", "answer"), *rows])


def layout(name: str) -> Callable[[Path], object]:
    """A data set in the layout of a published one."""

    def write(folder: Path) -> None:
        from tests.san_core.table_layouts import LAYOUTS  # it uses what is above

        folder.mkdir()
        LAYOUTS[name](folder)

    return write


def question_list(path: Path) -> None:
    """Questions to answer, in the layout of VQA."""
    rows = [{"question_id": i, "image_id": n, "question": text} for i, (text, _, n) in enumerate(ask(TEST[:2]))]
    path.write_text(json.dumps([row | {"image": PHOTOS[row["image_id"]]} for row in rows]))


def weights(name: str) -> Callable[[Path], object]:
    """Random weights of a network of torchvision or timm, where a download would be."""

    def write(path: Path) -> None:
        from tests.san_core.models.random_weights import save_in_torchs_folder  # it imports both libraries

        save_in_torchs_folder(name, path.parents[1] / "home" / ".cache" / "torch" / "hub" / "checkpoints")

    return write


def own_weights(path: Path) -> None:
    from tests.san_core.models.random_weights import random_weights

    random_weights("timm:convnext_tiny", path)


STAND_INS: dict[str, Callable[[Path], object]] = {
    "daquar": daquar,
    "coco": coco,
    "photos": photos,
    "picture.png": lambda path: paint(path, number=4),
    "questions.json": lambda path: vqa(path, path.with_name("annotations.json"), people=1),
    "list.json": question_list,
    "mine.csv": table,
    "vqa-rad": layout("VQA-RAD"),
    "Slake1.0": layout("SLAKE"),
    "pvqa": layout("PathVQA"),
    "vizwiz": layout("VizWiz"),
    "okvqa": layout("OK-VQA"),
    "gqa": layout("GQA"),
    "CLEVR_v1.0": layout("CLEVR"),
    "textvqa": layout("TextVQA"),
    "hub": layout("Hugging Face"),
    **{name: weights(name) for name in ("torchvision:resnet50", "timm:convnext_tiny", "timm:vit_small_patch14_dinov2")},
    "tuned.pth": own_weights,
}
"""What makes each thing of the sandbox; it is made where a page's commands name it and do not write it."""

RUNS = ("NAME", "A", "B", "RUN")
"""Runs under runs/ that the tutorial's search has made already, where a page's commands name one and do not make it."""


def environment(folder: Path) -> dict[str, str]:
    """A home of its own, the small easy-VQA and this project's code."""
    root = Path(__file__).parents[2]
    (folder / "home").mkdir(parents=True)
    easy_vqa(folder / "packages")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(folder / "packages"), str(root)]),
        "COLUMNS": "120",
        "OMP_NUM_THREADS": "1",
    }


def project(folder: Path) -> None:
    """What a clone with an installed .venv has, as far as commands name it; the environment is that of the tests."""
    root, virtual = Path(__file__).parents[2], folder / ".venv"
    virtual.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, folder / name)
    for entry in Path(sys.prefix).iterdir():
        if entry.name in {"bin", "include", "lib", "lib64", "pyvenv.cfg", "share"}:
            (virtual / entry.name).symlink_to(entry)
    (virtual / "installed").touch()
