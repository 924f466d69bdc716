"""Accuracy: whether the predicted answer is the right one."""

from san_core.data.questions import Question


def accuracy(predicted: str, question: Question) -> float:
    """1 if the predicted answer is the right answer, else 0.

    An answer of several things lists them in alphabetical order, so equal sets of things are equal texts.
    """
    return float(predicted == question.answer)
