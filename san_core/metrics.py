"""How good answers are."""

import numpy as np
from numpy.typing import NDArray


def accuracy(predicted: NDArray[np.integer], answers: NDArray[np.integer]) -> float:
    """The share of questions whose likeliest answer is the right one, in [0, 1].

    A question whose right answer is outside the answer vocabulary (-1) counts as wrong: it stays
    in the denominator, because a user of the model asks it all the same.

    Args:
        predicted: answer numbers [Q].
        answers: right answer numbers [Q], -1 where the vocabulary lacks it.

    Raises:
        ValueError: if the shapes differ (broadcasting would score the wrong pairs) or are empty.
    """
    if predicted.shape != answers.shape or predicted.ndim != 1 or not len(answers):
        raise ValueError(
            f"predicted and answers must be two equally long vectors, but got {predicted.shape} and {answers.shape}"
        )
    return float(np.mean(predicted == answers))
