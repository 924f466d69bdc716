"""Chooses pictures and questions of the validation split for the page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from san_core.data.images.reading import open_picture
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.errors import InputError

COUNT = 12
"""Most examples on the page."""

_TRIED = 200
"""Questions that are tried until as many have a picture that is still there."""


@dataclass(frozen=True, eq=False)
class Example:
    """A question of the validation split.

    Attributes:
        picture: its picture: the file, or the prepared pixels.
        question: the question.
        answer: the right answer; empty where nobody answered.
    """

    picture: Path | Image.Image
    question: str
    answer: str


def find_examples(description: Mapping[str, Any], data_folder: Path | None = None) -> tuple[list[Example], str]:
    """Finds examples in the data that a model was trained on.

    Args:
        description: the description of the model, see `TrainedModel`.
        data_folder: the prepared data; None for where they were when the model was saved.

    Returns:
        Up to `COUNT` examples; and a sentence that says why there are none, or nothing if there are.
    """
    place = data_folder or description.get("data_folder")
    try:
        if place is None:
            raise InputError("this model does not say where its data are")
        data = PreparedData.open(Path(place))
        if data.fingerprint != description["data_fingerprint"]:
            raise InputError(f"{place} holds other data than the model was trained on")
        examples = list(islice(_examples(data), COUNT))
    except InputError as error:
        return [], f"No examples: {error}; --data FOLDER names the prepared data."
    return examples, "" if examples else f"No examples: the pictures that {place} names are not there any more."


def _examples(data: PreparedData) -> Iterator[Example]:
    """Examples that are always the same: different questions while there are any, each about another picture."""
    questions, rows = data.questions_of("validation"), data.split("validation").images
    order = np.random.default_rng(0).permutation(len(questions)).tolist()
    different = {questions[place].text: place for place in reversed(order)}.values()
    found: set[str] = set()
    for place in [*different, *order][:_TRIED]:
        question = questions[place]
        picture = None if question.image in found else _picture(data, question, int(rows[place]))
        if picture is not None:
            found.add(question.image)
            yield Example(picture, question.text, question.answer)


def _picture(data: PreparedData, question: Question, row: int) -> Path | Image.Image | None:
    """The file of a question's picture, else the prepared pixels; None where neither is there."""
    try:
        path = data.image_files[question.image]
        open_picture(path, 1)
    except (InputError, KeyError):
        return Image.fromarray(data.images[row].numpy()) if data.fine_tune else None
    return path
