"""Small data sets in the layouts their authors ship them in."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from san_core.data.problems import Problems

SHARED = Path(__file__).parents[3] / "shared"
needs_daquar = pytest.mark.skipif(not (SHARED / "daquar").is_dir(), reason="DAQUAR is not in ../shared")
needs_coco = pytest.mark.skipif(not (SHARED / "coco_sample").is_dir(), reason="the COCO sample is not in ../shared")


def paint(path: Path, number: int = 0) -> None:
    """A picture unlike those of other numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 18), (number * 37 % 256, number * 101 % 256, 90)).save(path)


def flaws(problems: Problems) -> list[str]:
    """What was found, as the user reads it."""
    return [str(problem) for problem in problems.found]


def write_daquar(root: Path, train: Sequence[str], test: Sequence[str], size: str = "all", images: int = 9) -> Path:
    """Lines of questions and answers in turn, and pictures image1, image2 and so on."""
    names = {
        "all": ("qa.894.raw.train.txt", "qa.894.raw.test.txt"),
        "reduced": ("qa.37.raw.train.txt", "qa.37.raw.reduced.test.txt"),
    }
    root.mkdir(exist_ok=True)
    for name, lines in zip(names[size], (train, test), strict=True):
        (root / name).write_text("".join(f"{line}\n" for line in lines))
    for number in range(1, images + 1):
        paint(root / "images" / f"image{number}.png", number)
    return root


Row = tuple[str, str, int, int]


def write_coco_qa(root: Path, train: Sequence[Row], test: Sequence[Row]) -> Path:
    """Rows of question, answer, image number and type; and the pictures."""
    for part, folder, rows in (("train", "train2014", train), ("test", "val2014", test)):
        (root / part).mkdir(parents=True, exist_ok=True)
        (root / folder).mkdir(exist_ok=True)
        columns = zip(*rows, strict=True) if rows else ([], [], [], [])
        for name, column in zip(("questions", "answers", "img_ids", "types"), columns, strict=True):
            (root / part / f"{name}.txt").write_text("".join(f"{value}\n" for value in column))
        for _, _, number, _ in rows:
            paint(root / folder / f"COCO_{folder}_{number:012d}.jpg", number)
    return root


def question_entry(number: int | str, image: int | str, text: str = "what is it?") -> dict[str, Any]:
    """An entry of a VQA question file."""
    return {"question_id": number, "image_id": image, "question": text}


def answered(number: int | str, answers: Sequence[str], **more: str) -> dict[str, Any]:
    """An entry of a VQA annotation file; the modal answer is not told unless in `more`."""
    people = [{"answer": answer, "answer_confidence": "yes", "answer_id": i} for i, answer in enumerate(answers, 1)]
    return {"question_id": number, "answers": people, **more}


def write_json(path: Path, key: str, entries: Sequence[Mapping[str, Any]]) -> Path:
    """Questions or annotations in VQA's layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"info": {"version": "2.0"}, key: list(entries)}))
    return path
