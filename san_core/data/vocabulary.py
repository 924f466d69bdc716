"""Splits questions into words, and encodes words as numbers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"(?:[^\W_]|')+")  # letters and digits of any script

PADDING = 0
UNKNOWN = 1


def tokenize(question: str) -> list[str]:
    """Returns the lower-case words and numbers of a question, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFC", question).replace("\u2019", "'").lower())


def most_common(items: Iterable[str], limit: int | None = None) -> list[str]:
    """Returns the distinct items, most frequent first, ties in alphabetical order.

    The order depends on the counts alone, so two runs build the same vocabulary.
    """
    counts = Counter(items)
    return sorted(counts, key=lambda item: (-counts[item], item))[:limit]


class Vocabulary:
    """The words that a model knows. Number 0 is padding, number 1 stands for every unknown word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._number = {word: number for number, word in enumerate(self.words, start=UNKNOWN + 1)}

    def __len__(self) -> int:
        """Number of word numbers, including padding and unknown."""
        return len(self.words) + UNKNOWN + 1

    def encode(self, question: str) -> list[int]:
        """Encodes a question as word numbers; a question without words becomes one unknown word."""
        return [self._number.get(word, UNKNOWN) for word in tokenize(question)] or [UNKNOWN]
