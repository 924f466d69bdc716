"""Mean scores by type of answer and type of question."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from san_core.data.questions import Question
from san_core.data.vocabulary import most_common


@dataclass(frozen=True)
class Group:
    """The mean score of some questions of a data set.

    Attributes:
        kind: `all`, `answer type` or `question type`.
        name: the type; `all` if the kind is `all`.
        questions: number of questions in the group.
        mean: mean of their scores.
    """

    kind: str
    name: str
    questions: int
    mean: float


def group_scores(scores: NDArray[np.float64], questions: Sequence[Question]) -> list[Group]:
    """The mean score of all questions, of each answer type, and of each question type.

    The most frequent types come first, ties in alphabetical order. A question without a type is in no such group.

    Args:
        scores: one for each question [Q].
        questions: questions that were scored [Q].

    Raises:
        ValueError: if there are not as many scores as questions, or none.
    """
    if scores.shape != (len(questions),) or not len(questions):
        raise ValueError(
            f"there must be one score for each question, and at least one question, "
            f"but got scores of shape {scores.shape} and {len(questions)} questions"
        )
    return [
        Group("all", "all", len(questions), float(scores.mean())),
        *_groups("answer type", [question.answer_type for question in questions], scores),
        *_groups("question type", [question.question_type for question in questions], scores),
    ]


def _groups(kind: str, types: Sequence[str], scores: NDArray[np.float64]) -> list[Group]:
    """One group for each type; `types` [Q] holds the type of each question, empty for none."""
    type_of = np.array(types)
    by_type = {name: scores[type_of == name] for name in most_common(filter(None, types))}
    return [Group(kind, name, len(part), float(part.mean())) for name, part in by_type.items()]
