"""Hashes of a data set's questions and images, to recognise prepared data and copies of an image."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from san_core.data.images.grey_values import Range, widest
from san_core.data.images.reading import unstated_range
from san_core.data.prepared import FORMAT
from san_core.data.progress_bar import progress_bar
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from san_core.files import sha256_and_start

# First bytes of formats that never have more than 8 bits here: JPEG, GIF, WebP, BMP.
_EIGHT_BITS = (b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")
_PNG, _PNG_BITS, _SIXTEEN_BITS_GREY = b"\x89PNG\r\n\x1a\n", 24, b"\x10\x00"
_START = _PNG_BITS + 2


def describe_dataset(dataset: RawDataset, hashes: Mapping[str, str]) -> dict[str, Any]:
    """The questions and images of a data set as hashes, with its name and the format it is prepared in."""
    questions = _plain(dataset.train) + _plain(dataset.test) + _plain(dataset.unanswered)
    if dataset.validation is not None:
        questions += [["validation"], *_plain(dataset.validation)]
    return {
        "format": FORMAT,
        "data": dataset.name,
        "questions": short_hash(questions),
        "images": short_hash(list(hashes.items())),
    }


def _plain(questions: Sequence[Question]) -> list[list[Any]]:
    return [[q.text, q.answer, q.image, q.id, q.answers, q.answer_type, q.question_type] for q in questions]


@dataclass(frozen=True)
class Survey:
    """What is known of the images of a data set before they are decoded.

    Attributes:
        hashes: hash of the file of each image key, in the order of the keys.
        missing: reason for each image whose file cannot be opened.
        grey_range: smallest and largest value of all grey images of more than 8 bits whose files state none; None
            if there are no such images.
    """

    hashes: Mapping[str, str]
    missing: Mapping[str, str]
    grey_range: Range | None

    @cached_property
    def first_copy(self) -> Mapping[str, str]:
        """For each image key, the first key with the same content."""
        first: dict[str, str] = {}
        return {key: first.setdefault(found, key) for key, found in self.hashes.items()}


def survey_images(images: Mapping[str, Path]) -> Survey:
    """Reads the file of every image. Only grey images that may have more than 8 bits are decoded."""
    keys = sorted(images)
    with progress_bar("images") as bars, ThreadPoolExecutor() as pool:
        facts = bars.track(pool.map(_survey_file, (images[k] for k in keys)), len(keys), description="checking")
        found = dict(zip(keys, facts, strict=True))
    return Survey(
        hashes={key: facts.hash for key, facts in found.items() if facts.hash},
        missing={key: facts.error for key, facts in found.items() if not facts.hash},
        grey_range=widest(facts.grey_range for facts in found.values()),
    )


class _Facts(NamedTuple):
    hash: str = ""
    error: str = ""
    grey_range: Range | None = None


def _survey_file(path: Path) -> _Facts:
    try:
        found, start = sha256_and_start(path, _START)
    except InputError as error:
        return _Facts(error=str(error))
    if not _may_be_deep(start):
        return _Facts(found)
    try:
        return _Facts(found, grey_range=unstated_range(path))
    except InputError:  # told when it is encoded
        return _Facts(found)


def _may_be_deep(start: bytes) -> bool:
    """Whether the first bytes of an image file leave open that it is grey with more than 8 bits."""
    if start.startswith(_PNG):
        return start[_PNG_BITS:] == _SIXTEEN_BITS_GREY
    return bool(start) and not start.startswith(_EIGHT_BITS)


def short_hash(value: object) -> str:
    """A hash of a value of plain types: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
