"""The metrics by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.metrics.accuracy import accuracy
from san_core.metrics.vqa_accuracy import vqa_accuracy
from san_core.metrics.wups import wups


@dataclass(frozen=True)
class Metric:
    """A way to score predicted answers.

    Attributes:
        name: name on command lines and in files.
        title: name in tables.
        score_one: function that returns the score in [0, 1] of one predicted answer.
    """

    name: str
    title: str
    score_one: Callable[[str, Question], float]

    def score(self, predicted: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float64]:
        """Scores each predicted answer; the mean of the scores is the score of the data set.

        Every question counts, also one whose right answer is not in the model's vocabulary.

        Args:
            predicted: an answer to each question [Q].
            questions: the questions, with their right answers [Q].

        Returns:
            Scores in [0, 1] [Q].

        Raises:
            ValueError: if there are not as many answers as questions, or none.
            InputError: if the metric is WUPS and WordNet is missing.
        """
        if len(predicted) != len(questions) or not len(questions):
            raise ValueError(
                f"there must be one predicted answer for each question, and at least one question, "
                f"but got {len(predicted)} answers and {len(questions)} questions"
            )
        pairs = zip(predicted, questions, strict=True)
        return np.array([self.score_one(answer, question) for answer, question in pairs], dtype=np.float64)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", accuracy),
        Metric("vqa", "VQA accuracy", vqa_accuracy),
        Metric("wups@0.9", "WUPS@0.9", partial(wups, threshold=0.9)),
        Metric("wups@0.0", "WUPS@0.0", partial(wups, threshold=0.0)),
    )
}


def get_metric(name: str) -> Metric:
    """Returns the metric called `name`.

    Raises:
        InputError: if there is none.
    """
    if name not in METRICS:
        raise InputError(f"unknown metric {name!r}; accepted: {', '.join(METRICS)}")
    return METRICS[name]
