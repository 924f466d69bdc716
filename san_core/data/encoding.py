"""Encodes questions and answers as numbers, and counts how many of them the vocabularies contain."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from san_core.data.prepared import QUESTIONS, Split
from san_core.data.questions import Question, write_questions
from san_core.data.vocabulary import PADDING, UNKNOWN, Vocabulary, most_common, tokenize

Splits = Mapping[str, Sequence[Question]]


@dataclass(frozen=True)
class Vocabularies:
    """The words and answers that a model knows, from the training questions alone.

    Attributes:
        words: words of questions.
        answers: most frequent first.
    """

    words: Vocabulary
    answers: list[str]


def build_vocabularies(train: Sequence[Question], top_answers: int | None) -> Vocabularies:
    """Builds the vocabularies of all words and of the `top_answers` most frequent right answers (None: all)."""
    words = Vocabulary(most_common(word for question in train for word in tokenize(question.text)))
    return Vocabularies(words, most_common((question.answer for question in train), top_answers))


def write_splits(splits: Splits, vocabularies: Vocabularies, image_keys: Sequence[str], folder: Path) -> None:
    """Writes each split as numbers and as text, and the word numbers of all distinct questions."""
    texts = sorted({question.text for questions in splits.values() for question in questions})
    encoded = [vocabularies.words.encode(text) for text in texts]
    np.save(folder / QUESTIONS, _pad(encoded, PADDING, max(map(len, encoded))))
    image, text, answer = (_numbers(names) for names in (image_keys, texts, vocabularies.answers))
    people = max(len(q.human_answers) for questions in splits.values() for q in questions)
    for name, questions in splits.items():
        write_questions(folder / f"{name}.parquet", questions)
        Split(
            images=_column(image[q.image] for q in questions),
            questions=_column(text[q.text] for q in questions),
            answers=_column(answer.get(q.answer, -1) for q in questions),
            people=_pad([[answer.get(a, -1) for a in q.human_answers] for q in questions], -1, people),
        ).save(folder, name)


def coverage(splits: Splits, vocabularies: Vocabularies) -> dict[str, dict[str, Any]]:
    """Counts by name, for each split: what is in it, and how much of it the vocabularies contain."""
    return {name: _count(questions, vocabularies) for name, questions in splits.items()}


def _count(questions: Sequence[Question], vocabularies: Vocabularies) -> dict[str, Any]:
    known = set(vocabularies.answers)
    words = [number for question in questions for number in vocabularies.words.encode(question.text)]
    return {
        "questions": len(questions),
        "images": len({question.image for question in questions}),
        "answer_types": dict(Counter(question.answer_type for question in questions if question.answer_type)),
        "answered": sum(bool(question.answer) for question in questions),
        "known_answers": sum(question.answer in known for question in questions),
        "words": len(words),
        "unknown_words": words.count(UNKNOWN),
    }


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _column(values: Iterable[int]) -> NDArray[np.int32]:
    return np.fromiter(values, dtype=np.int32)


def _pad(rows: Sequence[Sequence[int]], filler: int, width: int) -> NDArray[np.int32]:
    """One matrix from rows of different lengths, padded at the end."""
    padded = np.full((len(rows), width), filler, dtype=np.int32)
    for row, numbers in zip(padded, rows, strict=True):
        row[: len(numbers)] = numbers
    return padded
