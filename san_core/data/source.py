"""What a reader returns: a data set as its authors ship it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Question:
    """A question about one image, with its right answer.

    Attributes:
        text: the question as asked.
        answer: the right answer, of several people's the most frequent; empty where nobody answered. An
            answer of several things names them in alphabetical order, joined by ", " (DAQUAR).
        image: key of its image in `Source.images`.
        id: what the data set calls it; official results name it.
        answers: each person's answer, where several were asked (VQA: ten).
        answer_type: kind of answer by which scores are broken down; empty where there are none.
        question_type: kind of question, likewise.
    """

    text: str
    answer: str
    image: str
    id: str | int = ""
    answers: tuple[str, ...] = ()
    answer_type: str = ""
    question_type: str = ""

    @property
    def human_answers(self) -> tuple[str, ...]:
        """Each person's answer; the right one where one person was asked, none where nobody was."""
        return self.answers or ((self.answer,) if self.answer else ())


@dataclass(frozen=True)
class Source:
    """A data set as read.

    Attributes:
        name: the data set's name, and which of its conventions was followed.
        train: questions to learn from; validation is cut out of them.
        test: answered questions nobody looks at before retraining; empty where there are none.
        images: file of each image key.
        image_size: edge in pixels that suits the images.
        training_defaults: `TrainingConfig` fields that suit the data set's size.
        unanswered: questions without answers, to be answered by a trained model.
        metrics: names of the metrics its literature reports, the one it leads with first.
        top_answers: size of the answer vocabulary; None takes every training answer.
    """

    name: str
    train: Sequence[Question]
    test: Sequence[Question]
    images: Mapping[str, Path]
    image_size: int = 448
    training_defaults: Mapping[str, float | int | str] = field(default_factory=dict)
    unanswered: Sequence[Question] = ()
    metrics: Sequence[str] = ("accuracy",)
    top_answers: int | None = None


@dataclass(frozen=True)
class VQAFiles:
    """One split in the official VQA layout.

    Attributes:
        questions: JSON file with a list `questions` of objects with question_id, image_id and question.
        annotations: JSON file with a list `annotations`; None where the questions are not answered.
        images: folder of the images.
        image_name: file name of an image, a Python format such as `COCO_val2014_{image_id:012d}.jpg`.
    """

    questions: Path
    annotations: Path | None
    images: Path
    image_name: str


@dataclass(frozen=True)
class Location:
    """Where a data set's files are, and what of them is wanted.

    Attributes:
        root: the data set's folder.
        train, test: one's own files in the VQA layout.
        single_answers: leave out questions whose answer is several things (DAQUAR).
    """

    root: Path | None = None
    train: VQAFiles | None = None
    test: VQAFiles | None = None
    single_answers: bool = False


NOWHERE = Location()
"""For a data set that ships inside its package."""


def split_by_image(
    questions: Sequence[Question], *, share: float = 0.2, seed: int = 0, same: Mapping[str, str] | None = None
) -> tuple[list[Question], list[Question]]:
    """Cuts questions in two so that no picture is on both sides.

    Args:
        questions: at least two images' questions.
        share: share of the images that go to the second part, in (0, 1). The default is the 4 : 1 of
            the baseline.
        seed: of the draw.
        same: for each image's key the one that stands for all images of the same content; None where all differ.

    Returns:
        Both parts, each in its original order.
    """
    pictures = [same[question.image] if same else question.image for question in questions]
    images = sorted(set(pictures))
    drawn = np.random.default_rng(seed).permutation(len(images))[: max(1, round(len(images) * share))]
    held_out = {images[i] for i in drawn}
    parts: tuple[list[Question], list[Question]] = [], []
    for question, picture in zip(questions, pictures, strict=True):
        parts[picture in held_out].append(question)
    return parts
