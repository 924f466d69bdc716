"""Scores of a network's answers to single questions, as a short text: two networks are compared by them in pairs."""

import base64
import zlib
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
        kept = np.linspace(0, len(scores) - 1, min(len(scores), MOST_QUESTIONS)).astype(int)
        return cls(len(scores), np.round(scores[kept] * _STEPS) / _STEPS)

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
            raise ValueError(
                f"of {questions} questions at most {MOST_QUESTIONS} have scores, but got {len(scores)}"
            )
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
