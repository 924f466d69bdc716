"""Encodes questions and answers as numbers, and counts how many of them the vocabularies contain."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from san_core.data.answers.forms import answer_form
from san_core.data.prepared import QUESTIONS, Split
from san_core.data.questions import Question, write_questions
from san_core.data.vocabulary import (
    CHARACTERS,
    PADDING,
    UNKNOWN,
    WORDS,
    Vocabulary,
    choose_tokenizer,
    has_no_spaces,
    most_common,
    tokenize,
)

Splits = Mapping[str, Sequence[Question]]


@dataclass(frozen=True)
class Vocabularies:
    """The words and answers that a model knows, from the training questions alone.

    Attributes:
        words: words of questions.
        answers: most frequent first.
        answer_key: answers with an equal key are one answer.
    """

    words: Vocabulary
    answers: list[str]
    answer_key: Callable[[str], str] = answer_form

    def answer_numbers(self) -> Callable[[str], int]:
        """A function that returns the number of an answer; -1 if it is empty or not in the vocabulary."""
        numbers = {self.answer_key(answer): number for number, answer in enumerate(self.answers)}
        return lambda answer: numbers.get(self.answer_key(answer), -1) if answer else -1


def build_vocabularies(
    train: Sequence[Question], top_answers: int | None, answer_key: Callable[[str], str] = answer_form
) -> Vocabularies:
    """Builds the vocabularies of all words and of the `top_answers` most frequent right answers (None: all)."""
    tokenizer = choose_tokenizer(question.text for question in train)
    words = most_common(word for question in train for word in tokenize(question.text, tokenizer))
    answers = most_common((question.answer for question in train), top_answers)
    return Vocabularies(Vocabulary(words, tokenizer), answers, answer_key)


def tokenizer_notes(splits: Splits, vocabularies: Vocabularies) -> list[str]:
    """What the user should know about how questions were split into words."""
    count = sum(has_no_spaces(question.text) for questions in splits.values() for question in questions)
    if not count:
        return []
    how = {
        CHARACTERS: "they are split into characters, and `predict` does the same",
        WORDS: "their words are separated by spaces, so ask in the same way",
    }
    return [f"{count:,} questions are in a script without spaces: {how[vocabularies.words.tokenizer]}"]


def write_splits(splits: Splits, vocabularies: Vocabularies, image_keys: Sequence[str], folder: Path) -> None:
    """Writes each split as numbers and as text, and the word numbers of all distinct questions."""
    texts = sorted({question.text for questions in splits.values() for question in questions})
    encoded = [vocabularies.words.encode(text) for text in texts]
    np.save(folder / QUESTIONS, _pad(encoded, PADDING, max(map(len, encoded))))
    image, text, number_of = _numbers(image_keys), _numbers(texts), vocabularies.answer_numbers()
    people = max(len(q.human_answers) for questions in splits.values() for q in questions)
    for name, questions in splits.items():
        write_questions(folder / f"{name}.parquet", questions)
        Split(
            images=_column(image[q.image] for q in questions),
            questions=_column(text[q.text] for q in questions),
            answers=_column(number_of(q.answer) for q in questions),
            people=_pad([[number_of(answer) for answer in q.human_answers] for q in questions], -1, people),
        ).save(folder, name)


def coverage(splits: Splits, vocabularies: Vocabularies) -> dict[str, dict[str, Any]]:
    """Counts by name, for each split: what is in it, and how much of it the vocabularies contain."""
    return {name: _count(questions, vocabularies) for name, questions in splits.items()}


def _count(questions: Sequence[Question], vocabularies: Vocabularies) -> dict[str, Any]:
    number_of = vocabularies.answer_numbers()
    words = [number for question in questions for number in vocabularies.words.encode(question.text)]
    return {
        "questions": len(questions),
        "images": len({question.image for question in questions}),
        "answer_types": dict(Counter(question.answer_type for question in questions if question.answer_type)),
        "answered": sum(bool(question.answer) for question in questions),
        "known_answers": sum(number_of(question.answer) >= 0 for question in questions),
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
