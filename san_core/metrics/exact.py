"""Accuracy: the answer is right, or it is not."""

from san_core.data.source import Question


def is_right(predicted: str, question: Question) -> float:
    """1 where the prediction is the right answer, else 0.

    An answer of several things names them in alphabetical order, so that equal strings are equal sets.
    """
    return float(predicted == question.answer)
