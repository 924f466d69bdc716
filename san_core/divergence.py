"""Recognises training that has diverged: a network that is no better than one that was not trained."""

import math

import numpy as np
from numpy.typing import NDArray

from san_core.data.prepared import PreparedData
from san_core.evaluation import Objective
from san_core.metrics import Metric

_MARGIN = 1.1
"""The loss of an untrained network may be this many times that of a uniform distribution over the answers."""


def why_diverged(epoch: int, loss: float, score: float | None, objective: Objective, trained: NDArray[np.int32]) -> str:
    """Why training has diverged after an epoch; empty if it has not.

    It has diverged if the loss is not finite. From the second epoch on it has also diverged if the loss is above
    that of an untrained network and the score is no better than that of always giving the same answer. The loss of
    the first epoch includes the steps of an untrained network, so it is not compared.

    Args:
        epoch: its number, >= 1.
        loss: mean over the epoch, in nats.
        score: after the epoch; None if no split is scored.
        objective: what is scored.
        trained: numbers of the right answers that were trained on [Q].
    """
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if epoch == 1 or score is None or objective.split is None or loss < untrained_loss(objective.data):
        return ""
    answer = most_frequent_answer(trained, objective.data)
    if score > constant_answer_score(answer, objective.data, objective.metric, objective.split):
        return ""
    return f"no better than always answering {answer!r}"


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
