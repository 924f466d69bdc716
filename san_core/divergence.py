"""Recognises training that has diverged: a network that is no better than one that was not trained."""

import math

import numpy as np
from numpy.typing import NDArray

from san_core.data.prepared import PreparedData
from san_core.metrics import Metric

_MARGIN = 1.1
"""The loss of an untrained network may be this many times that of a uniform distribution over the answers."""


def untrained_loss(data: PreparedData) -> float:
    """The cross entropy in nats that an untrained network does not exceed."""
    return _MARGIN * math.log(len(data.answers))


def most_frequent_answer(answers: NDArray[np.int32], data: PreparedData) -> str:
    """The most frequent right answer.

    Args:
        answers: numbers of the right answers [Q]; -1, an answer outside the vocabulary, is not counted.
        data: data set, for the texts of the answers.
    """
    return data.answers[int(np.bincount(answers[answers >= 0]).argmax())]


def constant_answer_score(answer: str, data: PreparedData, metric: Metric, split: str) -> float:
    """The mean score in [0, 1] of giving the same answer to every question of a split."""
    questions = data.questions_of(split)
    return float(metric.score([answer] * len(questions), questions).mean())
