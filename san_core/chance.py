"""How well one answers without looking: the mark below which training has failed."""

import math

import numpy as np
from numpy.typing import NDArray

from san_core.data.prepared import PreparedData
from san_core.metrics import Metric

_MARGIN = 1.1
"""An untrained network may be so much worse than a uniform guess."""


def clueless_loss(data: PreparedData) -> float:
    """Cross entropy, in nats, above which a network knows less than one that was not trained."""
    return _MARGIN * math.log(len(data.answers))


def commonest_answer(answers: NDArray[np.int32], data: PreparedData) -> str:
    """The answer that is right most often.

    Args:
        answers: right answers [Q], -1 where the vocabulary lacks them; those are left out.
        data: knows the answers' words.
    """
    return data.answers[int(np.bincount(answers[answers >= 0]).argmax())]


def constant_score(answer: str, data: PreparedData, metric: Metric, split: str) -> float:
    """The score in [0, 1] of giving the same answer to every question of a split."""
    questions = data.asked(split)
    return float(metric.score([answer] * len(questions), questions).mean())
