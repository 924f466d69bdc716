"""Scores broken down by kind of answer and kind of question."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from san_core.data.source import Question
from san_core.data.vocabulary import most_common


@dataclass(frozen=True)
class Group:
    """What some of a data set's questions score.

    Attributes:
        kind: `all`, `answer type` or `question type`.
        name: the type; `all` where the kind is.
        questions: how many there are.
        mean: of their scores.
    """

    kind: str
    name: str
    questions: int
    mean: float


def breakdown(scores: NDArray[np.float64], questions: Sequence[Question]) -> list[Group]:
    """The mean score of all questions, of each answer type, and of each question type.

    Types come most frequent first, ties in alphabetical order; a question without a type is in no type's group.

    Args:
        scores: one for each question [Q].
        questions: what was scored [Q].

    Raises:
        ValueError: if there are not as many scores as questions, or none.
    """
    if scores.shape != (len(questions),) or not len(questions):
        raise ValueError(
            f"there must be one score for each of one or more questions, "
            f"but got scores of shape {scores.shape} and {len(questions)} questions"
        )
    return [
        Group("all", "all", len(questions), float(scores.mean())),
        *_groups("answer type", [question.answer_type for question in questions], scores),
        *_groups("question type", [question.question_type for question in questions], scores),
    ]


def _groups(kind: str, types: Sequence[str], scores: NDArray[np.float64]) -> list[Group]:
    """A group for each of the types [Q] that is not empty."""
    of_type = np.array(types)
    members = {name: scores[of_type == name] for name in most_common(filter(None, types))}
    return [Group(kind, name, len(theirs), float(theirs.mean())) for name, theirs in members.items()]
