"""Splits questions into words, and encodes words as numbers."""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from san_core.data.answers.forms import standard_characters, to_small_letters

CHARACTERS, WORDS, LETTERS = "characters", "words", "letters"
"""The tokenizers, see `tokenize`. A model and its data keep the one that they were prepared with."""

PADDING = 0
UNKNOWN = 1

_LETTERS_AND_DIGITS = re.compile(r"(?:[^\W_]|')+")
_SEGMENTED = 1.5

# Thai, Lao, Burmese, Khmer, Japanese and Chinese characters; those of some languages of Burma; the later planes.
_WITHOUT_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER_WITHOUT_SPACES = rf"(?=[^\W\d_])[{_WITHOUT_SPACES}]"
_TWO_SEGMENTS = re.compile(rf"[{_WITHOUT_SPACES}][ \u200b]+(?=[{_WITHOUT_SPACES}])")
_VOWELS_WRITTEN_AFTER = "\u0e33\u0eb3"  # Thai and Lao am: a letter for Unicode, but a part of the one before
_STACKING = "\u1039\u17d2"  # Burmese and Khmer: the next letter is written below
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # they change how letters are drawn, and are often left out
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # of emoji


def tokenize(question: str, tokenizer: str = CHARACTERS) -> list[str]:
    """Returns the lower-case words and numbers of a question, without punctuation.

    Args:
        question: a text in any language.
        tokenizer: `characters` splits what is written in scripts without spaces between words (Chinese, Japanese, Thai,
            Lao, Khmer, Burmese) into characters; `words` takes it as it is, for text that is segmented into words by
            spaces or zero-width spaces. `letters` is that of models saved by earlier versions: as `words`, but marks
            such as the vowel signs of Hindi separate words. All three are the same for English.

    Returns:
        The words by Unicode's rules (UAX 29): marks belong to the letter before them. Full-width letters become
        ordinary ones, a typographic apostrophe a straight one, which is a letter.
    """
    if question.isascii():
        return _LETTERS_AND_DIGITS.findall(question.lower())
    if tokenizer == LETTERS:
        text = unicodedata.normalize("NFC", question)
        return _LETTERS_AND_DIGITS.findall(text.replace("\u2019", "'").lower())
    text = to_small_letters(standard_characters(question.translate(_JOINERS))).replace("\u2019", "'")
    return _words(tokenizer == CHARACTERS).findall(text)


def choose_tokenizer(questions: Iterable[str]) -> str:
    """Chooses between `characters` and `words` for the questions of a data set.

    It is `words` if the questions in scripts without spaces are segmented: if they have 1.5 or more spaces on average.
    """
    segments = [len(_TWO_SEGMENTS.findall(text)) for text in questions if not text.isascii() and has_no_spaces(text)]
    return WORDS if segments and sum(segments) >= _SEGMENTED * len(segments) else CHARACTERS


def has_no_spaces(question: str) -> bool:
    """Whether a question has letters of a script that writes no spaces between words."""
    return re.search(_LETTER_WITHOUT_SPACES, question) is not None


@cache
def _words(by_character: bool) -> re.Pattern[str]:
    """The pattern of a word."""
    marks = f"[{_marks()}{_VOWELS_WRITTEN_AFTER}]"
    in_hebrew = '(?<=[\u05d0-\u05ea])["\u05f4](?=[\u05d0-\u05ea])'  # as in the abbreviation of "Inc."
    if not by_character:
        return re.compile(rf"(?:[^\W_]{marks}*|{in_hebrew}|')+")
    one_character = rf"{_LETTER_WITHOUT_SPACES}(?:{marks}|(?<=[{_STACKING}]){_LETTER_WITHOUT_SPACES})*"
    return re.compile(rf"{one_character}|(?:(?!{_LETTER_WITHOUT_SPACES})[^\W_]{marks}*|{in_hebrew}|')+")


def _marks() -> str:
    """All marks that are drawn with the letter before them, as ranges in a character class."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode >> 3):  # the planes above have only variation selectors
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and code not in _VARIATION_SELECTORS:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def most_common(items: Iterable[str], limit: int | None = None) -> list[str]:
    """Returns the distinct items, most frequent first, ties in alphabetical order.

    The order depends on the counts alone, so two runs build the same vocabulary.
    """
    counts = Counter(items)
    return sorted(counts, key=lambda item: (-counts[item], item))[:limit]


class Vocabulary:
    """The words that a model knows. Number 0 is padding, number 1 stands for every unknown word.

    Args:
        words: words, in the order of their numbers.
        tokenizer: that splits questions into words, see `tokenize`.
    """

    def __init__(self, words: Sequence[str], tokenizer: str = CHARACTERS) -> None:
        self.words = list(words)
        self.tokenizer = tokenizer
        self._number = {word: number for number, word in enumerate(self.words, start=UNKNOWN + 1)}

    def __len__(self) -> int:
        """Number of word numbers, including padding and unknown."""
        return len(self.words) + UNKNOWN + 1

    def encode(self, question: str) -> list[int]:
        """Encodes a question as word numbers; a question without words becomes one unknown word."""
        return [self._number.get(word, UNKNOWN) for word in tokenize(question, self.tokenizer)] or [UNKNOWN]

    def unknown(self, question: str) -> tuple[str, ...]:
        """The distinct words of a question that are not in the vocabulary, in their order."""
        words = dict.fromkeys(tokenize(question, self.tokenizer))
        return tuple(word for word in words if word not in self._number)
