"""Small data sets in the layouts of published ones, with questions, answers and pictures of our own.

What is known of each layout is in its function's docstring. Every data set has the same questions, `ROWS`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tests.docs.stand_ins import colour, paint

TRAIN, VALIDATION, TEST = range(6), range(6, 8), range(8, 10)
SPLITS: Mapping[str, Sequence[int]] = {"train": TRAIN, "val": VALIDATION, "test": TEST}


class Row(NamedTuple):
    """A question, its answer, and the number of its picture."""

    question: str
    answer: str
    picture: int


def ask(numbers: Sequence[int]) -> list[Row]:
    """Two questions about each picture, whose words say the picture."""
    return [
        row
        for number in numbers
        for row in (
            Row(f"what colour has square {number}?", colour(number), number),
            Row(f"is square {number} red?", "yes" if colour(number) == "red" else "no", number),
        )
    ]


@dataclass(frozen=True)
class Layout:
    """A data set that was written.

    Attributes:
        arguments: those of `san_core.prepare` behind the name of the reader, in the folder of the data set.
        reader: `table` or `vqa`.
        given_validation: whether the validation questions are the data set's own.
        test: whether there are test questions with answers.
        people: number of people who answered each question.
    """

    arguments: Sequence[str]
    reader: str = "table"
    given_validation: bool = False
    test: bool = True
    people: int = 1


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def vqa_rad(folder: Path) -> Layout:
    """One JSON file, a list; the split is in `phrase_type`: freeform, para, test_freeform, test_para.

    Pictures are in one folder under the names in `image_name`; `image_case_url` and others are not needed. `answer` is
    a text or a number; `answer_type` is OPEN or CLOSED, sometimes with a blank behind it.
    """
    rows = [
        {
            "qid": number,
            "phrase_type": "test_freeform" if row.picture in TEST else "para" if number % 2 else "freeform",
            "qid_linked_id": f"03f451ca-de62-4617-9679-e836026a764{number}",
            "image_case_url": f"https://example.org/case?id={row.picture}",
            "image_name": f"synpic{row.picture}.jpg",
            "image_organ": "HEAD",
            "question": row.question,
            "question_type": "COLOR",
            "answer": row.answer,
            "answer_type": "CLOSED " if row.answer in {"yes", "no"} else "OPEN",
        }
        for number, row in enumerate(ask(range(10)))
    ]
    _write(folder / "VQA_RAD Dataset Public.json", rows)
    for number in range(10):
        paint(folder / "VQA_RAD Image Folder" / f"synpic{number}.jpg", number)
    return Layout(["VQA_RAD Dataset Public.json", "--images", "VQA_RAD Image Folder"])


def slake(folder: Path) -> Layout:
    """Three JSON files, each a list; every picture is called `source.jpg` in a folder of its own."""
    for name, numbers in zip(("train", "validate", "test"), SPLITS.values(), strict=True):
        rows = [
            {
                "img_id": row.picture,
                "img_name": f"xmlab{row.picture}/source.jpg",
                "question": row.question,
                "answer": row.answer.capitalize(),
                "q_lang": "en",
                "location": "Abdomen",
                "modality": "MRI",
                "answer_type": "CLOSED" if row.answer in {"yes", "no"} else "OPEN",
                "base_type": "vqa",
                "content_type": "Color",
                "triple": ["vhead", "_", "_"],
                "qid": number,
            }
            for number, row in enumerate(ask(numbers))
        ]
        _write(folder / f"{name}.json", rows)
        for number in numbers:
            paint(folder / "imgs" / f"xmlab{number}" / "source.jpg", number)
    files = ("--train", "train.json", "--validation", "validate.json", "--test", "test.json")
    return Layout([*files, "--images", "imgs"], given_validation=True)


def path_vqa(folder: Path) -> Layout:
    """Three files of rows `image`, `question`, `answer`; the picture is named without extension.

    The authors' files are Python pickles of such rows, which are not read here; this is what they are as JSON lines.
    """
    for name, numbers in SPLITS.items():
        rows = [
            {"image": f"{name}_{row.picture:04d}", "question": row.question, "answer": row.answer}
            for row in ask(numbers)
        ]
        folder.mkdir(exist_ok=True)
        (folder / f"{name}_qa.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        for number in numbers:
            paint(folder / "images" / name / f"{name}_{number:04d}.jpg", number)
    return Layout([*(f"{name}_qa.jsonl" for name in SPLITS), "--images", "images"], given_validation=True)


def vizwiz(folder: Path) -> Layout:
    """Three JSON files, each a list, in `Annotations`; ten people's answers as objects; no answers in the test file."""
    for name, numbers in SPLITS.items():
        rows: list[dict[str, Any]] = []
        for row in ask(numbers):
            entry: dict[str, Any] = {
                "image": f"VizWiz_{name}_{row.picture:08d}.jpg",
                "question": row.question,
            }
            if name != "test":
                people = [row.answer] * 8 + ["unsuitable", "unanswerable"]
                entry["answers"] = [{"answer_confidence": "yes", "answer": answer} for answer in people]
                entry |= {"answer_type": "other", "answerable": 1}
            rows.append(entry)
        _write(folder / "Annotations" / f"{name}.json", rows)
        for number in numbers:
            paint(folder / name / f"VizWiz_{name}_{number:08d}.jpg", number)
    files = [f"Annotations/{name}.json" for name in SPLITS]
    return Layout([*files, "--images", "."], given_validation=True, test=False, people=10)


def ok_vqa(folder: Path) -> Layout:
    """The layout of VQA: questions and ten answers in two JSON files for each split, COCO's pictures."""
    arguments: list[str] = []
    for place, numbers, prefix in (("train2014", range(8), ""), ("val2014", TEST, "test-")):
        rows = list(enumerate(ask(numbers), start=numbers[0] * 10))
        questions = [{"question_id": n, "image_id": row.picture, "question": row.question} for n, row in rows]
        annotations = [
            {
                "question_id": n,
                "image_id": row.picture,
                "question_type": "five",
                "answer_type": "other",
                "confidence": 3,
                "answers": [
                    {"answer_id": i, "raw_answer": row.answer, "answer_confidence": "yes", "answer": row.answer}
                    for i in range(1, 11)
                ],
            }
            for n, row in rows
        ]
        _write(folder / f"OpenEnded_mscoco_{place}_questions.json", {"info": {}, "questions": questions})
        _write(folder / f"mscoco_{place}_annotations.json", {"info": {}, "annotations": annotations})
        for number in numbers:
            paint(folder / place / f"COCO_{place}_{number:012d}.jpg", number)
        arguments += [f"--{prefix}questions", f"OpenEnded_mscoco_{place}_questions.json"]
        arguments += [f"--{prefix}annotations", f"mscoco_{place}_annotations.json", f"--{prefix}images", place]
        arguments += [f"--{prefix}image-name", f"COCO_{place}_{{image_id:012d}}.jpg"]
    return Layout(arguments, reader="vqa", people=10)


def gqa(folder: Path) -> Layout:
    """JSON files, objects of objects by question id; `semantic` is a list of objects, too; `imageId.jpg`."""
    for name, numbers in zip(("train", "val", "testdev"), SPLITS.values(), strict=True):
        rows = {
            f"0{number:07d}": {
                "semantic": [{"operation": "select", "dependencies": [], "argument": f"square ({row.picture})"}],
                "entailed": [],
                "equivalent": [f"0{number:07d}"],
                "question": row.question,
                "imageId": str(row.picture),
                "isBalanced": True,
                "groups": {"global": None, "local": "06-square_red"},
                "answer": row.answer,
                "semanticStr": "select: square",
                "annotations": {"answer": {}, "question": {"2": "5"}, "fullAnswer": {}},
                "types": {"detailed": "directOf", "semantic": "attr", "structural": "query"},
                "fullAnswer": f"It is {row.answer}.",
            }
            for number, row in enumerate(ask(numbers), start=numbers[0] * 10)
        }
        _write(folder / f"{name}_balanced_questions.json", rows)
    for number in range(10):
        paint(folder / "images" / f"{number}.jpg", number)
    files = ("--train", "train_balanced_questions.json", "--validation", "val_balanced_questions.json")
    return Layout([*files, "--test", "testdev_balanced_questions.json", "--images", "images"], given_validation=True)


def clevr(folder: Path) -> Layout:
    """Two JSON files with a list `questions` beside `info`; a column `split`; numbers in `image_index`."""
    for name, numbers in (("train", TRAIN), ("val", VALIDATION)):
        rows = [
            {
                "image_index": row.picture,
                "program": [{"inputs": [], "function": "scene", "value_inputs": []}],
                "question_index": number,
                "image_filename": f"CLEVR_{name}_{row.picture:06d}.png",
                "question_family_index": 2,
                "split": name,
                "answer": row.answer,
                "question": row.question,
            }
            for number, row in enumerate(ask(numbers))
        ]
        content = {"info": {"split": name, "version": "1.0"}, "questions": rows}
        _write(folder / "questions" / f"CLEVR_{name}_questions.json", content)
        for number in numbers:
            paint(folder / "images" / name / f"CLEVR_{name}_{number:06d}.png", number)
    files = [f"questions/CLEVR_{name}_questions.json" for name in ("train", "val")]
    return Layout([*files, "--images", "images"], given_validation=True, test=False)


def text_vqa(folder: Path) -> Layout:
    """Two JSON files with a list `data`; `answers` are ten texts; pictures are `image_id.jpg`; a column `set_name`."""
    for name, numbers in (("train", TRAIN), ("val", VALIDATION)):
        rows = [
            {
                "question": row.question,
                "image_id": f"{row.picture:04x}9a40ae1dae{row.picture}",
                "image_classes": ["Square"],
                "flickr_original_url": f"https://example.org/{row.picture}_o.jpg",
                "image_width": 64,
                "image_height": 64,
                "answers": [row.answer] * 7 + ["answering does not require reading text in the image"] * 3,
                "question_tokens": row.question.split(),
                "question_id": 100 * row.picture + number,
                "set_name": name,
            }
            for number, row in enumerate(ask(numbers))
        ]
        content = {"dataset_type": name, "dataset_name": "textvqa", "dataset_version": "0.5.1", "data": rows}
        _write(folder / f"TextVQA_0.5.1_{name}.json", content)
        for number in numbers:
            paint(folder / "train_images" / f"{number:04x}9a40ae1dae{number}.jpg", number)
    files = [f"TextVQA_0.5.1_{name}.json" for name in ("train", "val")]
    return Layout([*files, "--images", "train_images"], given_validation=True, test=False, people=10)


def hugging_face(folder: Path) -> Layout:
    """A folder of Parquet shards, named for their splits; the pictures are in them, as `{"bytes", "path"}`."""
    shards = {"train-00000-of-00002": range(3), "train-00001-of-00002": range(3, 6)}
    shards |= {"validation-00000-of-00001": VALIDATION, "test-00000-of-00001": TEST}
    for name, numbers in shards.items():
        rows = [
            {
                "image": {"bytes": _png(folder, row.picture), "path": None},
                "question": row.question,
                "answer": row.answer,
            }
            for row in ask(numbers)
        ]
        (folder / "vqa-set" / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / "vqa-set" / "data" / f"{name}.parquet")
    (folder / "vqa-set" / "README.md").write_text("---\nlicense: mit\n---\n")
    return Layout(["vqa-set"], given_validation=True)


def _png(folder: Path, number: int) -> bytes:
    path = folder / "picture.png"
    paint(path, number)
    content = path.read_bytes()
    path.unlink()
    return content


LAYOUTS: Mapping[str, Callable[[Path], Layout]] = {
    "VQA-RAD": vqa_rad,
    "SLAKE": slake,
    "PathVQA": path_vqa,
    "VizWiz": vizwiz,
    "OK-VQA": ok_vqa,
    "GQA": gqa,
    "CLEVR": clevr,
    "TextVQA": text_vqa,
    "Hugging Face": hugging_face,
}
