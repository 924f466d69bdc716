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
        name: the data set's name.
        train: questions to learn from; validation is cut out of them.
        test: questions nobody looks at before retraining.
        images: file of each image key.
        image_size: edge in pixels that suits the images.
        training_defaults: `TrainingConfig` fields that suit the data set's size.
    """

    name: str
    train: Sequence[Question]
    test: Sequence[Question]
    images: Mapping[str, Path]
    image_size: int
    training_defaults: Mapping[str, float | int] = field(default_factory=dict)


def split_by_image(
    questions: Sequence[Question], *, validation_share: float = 0.2, seed: int = 0
) -> tuple[list[Question], list[Question]]:
    """Cuts questions into train and validation so that no image is on both sides.

    Args:
        questions: at least two images' questions.
        validation_share: share of the images that go to validation, in (0, 1). The default is the 4 : 1 of
            the baseline.
        seed: of the draw.

    Returns:
        The train and the validation questions, each in their original order.
    """
    images = sorted({question.image for question in questions})
    drawn = np.random.default_rng(seed).permutation(len(images))[: max(1, round(len(images) * validation_share))]
    held_out = {images[i] for i in drawn}
    train = [question for question in questions if question.image not in held_out]
    validation = [question for question in questions if question.image in held_out]
    return train, validation
