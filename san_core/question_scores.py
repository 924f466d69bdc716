"""Scores of a network's answers to single questions, as a short text: two networks are compared by them in pairs."""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

MOST_QUESTIONS = 2048
"""Of more questions so many are kept, evenly spaced: a standard deviation is known to 2 % then."""

_STEPS = 255


@dataclass(frozen=True)
class QuestionScores:
    """Scores of the answers to single questions.

    Attributes:
        questions: number of all questions Q.
        scores: of some of them, always the same, each in [0, 1], rounded to 1/255 [min(Q, `MOST_QUESTIONS`)].
    """

    questions: int
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, scores: NDArray[np.floating]) -> Self:
        """Keeps some of the scores of all questions [Q], each in [0, 1]."""
        return cls(len(scores), np.round(_some(scores) * _STEPS) / _STEPS)

    @classmethod
    def join(cls, parts: Sequence["QuestionScores"]) -> Self:
        """The scores of several sets of questions as those of one."""
        return cls(sum(part.questions for part in parts), _some(np.concatenate([part.scores for part in parts])))

    def to_text(self) -> str:
        """The scores as a text for `from_text`: about 700 characters for 2,048 questions."""
        packed = zlib.compress(np.round(self.scores * _STEPS).astype(np.uint8).tobytes(), level=9)
        return f"{self.questions}:{base64.b64encode(packed).decode()}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Reads what `to_text` wrote.

        Raises:
            ValueError: if it is anything else.
        """
        questions, _, packed = text.partition(":")
        try:
            scores = np.frombuffer(zlib.decompress(base64.b64decode(packed, validate=True)), dtype=np.uint8)
        except zlib.error as error:
            raise ValueError(f"scores of questions are damaged: {error}") from error
        if len(scores) != min(int(questions), MOST_QUESTIONS):
            raise ValueError(f"of {questions} questions at most {MOST_QUESTIONS} have scores, but got {len(scores)}")
        return cls(int(questions), scores / _STEPS)

    def standard_error(self, other: "QuestionScores") -> float:
        """Standard error of the difference between two networks' mean scores on the same questions.

        The difference is taken question by question. Networks err on many of the same questions, so it is known much
        better than from two independent means.

        Raises:
            ValueError: if the scores are not of as many questions.
        """
        if self.questions != other.questions:
            raise ValueError(f"scores must be of the same questions, but got {self.questions} and {other.questions}")
        return float((self.scores - other.scores).std() / np.sqrt(self.questions))


def _some(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """At most `MOST_QUESTIONS` of the scores, evenly spaced."""
    kept = np.linspace(0, len(scores) - 1, min(len(scores), MOST_QUESTIONS)).astype(int)
    return np.asarray(scores[kept], dtype=np.float64)
