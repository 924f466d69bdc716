"""The metrics by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from san_core.data.source import Question
from san_core.errors import InputError
from san_core.metrics.exact import is_right
from san_core.metrics.vqa import vqa_accuracy
from san_core.metrics.wups import wups


@dataclass(frozen=True)
class Metric:
    """A way to score answers.

    Attributes:
        name: the word for it on command lines and in files.
        title: its name in tables.
        score_one: the score in [0, 1] of one predicted answer.
    """

    name: str
    title: str
    score_one: Callable[[str, Question], float]

    def score(self, predicted: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float64]:
        """The score of each predicted answer; their mean is the data set's score.

        No question is left out: one whose right answer the model cannot give scores what its answer is worth.

        Args:
            predicted: an answer to each question [Q].
            questions: what was asked, with its right answers [Q].

        Returns:
            Scores in [0, 1] [Q].

        Raises:
            ValueError: if there are not as many answers as questions, or none.
            InputError: for WUPS, if WordNet is missing.
        """
        if len(predicted) != len(questions) or not len(questions):
            raise ValueError(
                f"there must be one predicted answer to each of one or more questions, "
                f"but got {len(predicted)} answers and {len(questions)} questions"
            )
        pairs = zip(predicted, questions, strict=True)
        return np.array([self.score_one(answer, question) for answer, question in pairs], dtype=np.float64)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", is_right),
        Metric("vqa", "VQA accuracy", vqa_accuracy),
        Metric("wups@0.9", "WUPS@0.9", partial(wups, threshold=0.9)),
        Metric("wups@0.0", "WUPS@0.0", partial(wups, threshold=0.0)),
    )
}


def metric_called(name: str) -> Metric:
    """The metric of that name.

    Raises:
        InputError: if there is none.
    """
    if name not in METRICS:
        raise InputError(f"unknown metric {name!r}; accepted: {', '.join(METRICS)}")
    return METRICS[name]
