"""Hashes of a data set's questions and images, to recognise prepared data and copies of an image."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from san_core.data.prepared import FORMAT
from san_core.data.progress_bar import progress_bar
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from san_core.files import sha256

_UNREADABLE = "unreadable"  # in place of a hash


def describe_dataset(dataset: RawDataset, image_hashes: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The questions and images of a data set as hashes, with its name and the format it is prepared in."""
    questions = _plain(dataset.train) + _plain(dataset.test) + _plain(dataset.unanswered)
    if dataset.validation is not None:
        questions += [["validation"], *_plain(dataset.validation)]
    return {
        "format": FORMAT,
        "data": dataset.name,
        "questions": short_hash(questions),
        "images": short_hash(image_hashes),
    }


def _plain(questions: Sequence[Question]) -> list[list[Any]]:
    return [[q.text, q.answer, q.image, q.id, q.answers, q.answer_type, q.question_type] for q in questions]


def hash_images(images: Mapping[str, Path]) -> list[tuple[str, str]]:
    """The key of every image with a hash of its file."""
    keys = sorted(images)
    with progress_bar("images") as bars, ThreadPoolExecutor() as pool:
        hashes = bars.track(pool.map(_hash_file, (images[k] for k in keys)), len(keys), description="checking")
        return list(zip(keys, hashes, strict=True))


def _hash_file(path: Path) -> str:
    try:
        return sha256(path)
    except InputError:
        return _UNREADABLE


def first_copies(image_hashes: Sequence[tuple[str, str]]) -> dict[str, str]:
    """For each image key, the first key with the same content. Unreadable images count as different."""
    first: dict[str, str] = {}
    return {key: key if found == _UNREADABLE else first.setdefault(found, key) for key, found in image_hashes}


def short_hash(value: object) -> str:
    """A hash of a value of plain types: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
