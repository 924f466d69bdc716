"""Small data sets in the layouts their authors ship them in."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import Image

from san_core.data.problems import Problems

SHARED = Path(__file__).parents[3] / "shared"
needs_daquar = pytest.mark.skipif(not (SHARED / "daquar").is_dir(), reason="DAQUAR is not in ../shared")
needs_coco = pytest.mark.skipif(not (SHARED / "coco_sample").is_dir(), reason="the COCO sample is not in ../shared")


def paint(path: Path, number: int = 0) -> None:
    """A picture unlike those of other numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 18), (number * 37 % 256, number * 101 % 256, 90 + number // 256)).save(path)


def write_tiff(
    path: Path,
    values: NDArray[Any],
    tags: Mapping[int, list[int]] | None = None,
    *,
    bits: int | None = None,
    photometric: int = 1,
) -> Path:
    """A grey TIFF file of values of any type; `bits` may be 12, and `tags` have values of 16 bits."""
    content = _twelve_bits(values) if bits == 12 else values.astype(values.dtype.newbyteorder("<")).tobytes()
    height, width = values.shape
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = {256: [width], 257: [height], 258: [bits or 8 * values.itemsize], 259: [1], 262: [photometric]}
    entries |= {273: [8], 277: [1], 278: [height], 279: [len(content)], 339: [sample_format], **(tags or {})}
    directory = b"".join(
        struct.pack("<HHI", tag, 4 if tag == 279 else 3, len(value)) + struct.pack("<I", *value)
        for tag, value in sorted(entries.items())
    )
    start = struct.pack("<2sHI", b"II", 42, 8 + len(content))
    path.write_bytes(start + content + struct.pack("<H", len(entries)) + directory + bytes(4))
    return path


def _twelve_bits(values: NDArray[Any]) -> bytes:
    """Two values in three bytes, the first bits first."""
    pairs = values.astype(int).reshape(-1, 2)
    return b"".join((int(first) << 12 | int(second)).to_bytes(3, "big") for first, second in pairs)


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
