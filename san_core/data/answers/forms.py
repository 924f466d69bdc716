"""Which answers count as one: those that differ only in capitals, blanks, a final full stop or Unicode form."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

import numpy as np

SEPARATOR = ", "
"""Between the things of an answer of several things."""

_NO_ANSWER = {"nan", "NaN", "<NA>", "null", "NULL"}
"""What programs write into a cell that has no answer. `None` is not among them: people answer "none"."""

_CACHE_SIZE = 2**18  # answers: those of several people repeat

_FULL_STOPS = ".。।۔"  # Latin; Chinese and Japanese; Hindi; Urdu

# Zero-width space, joiners and no-break space, soft hyphen, marks of direction, variation selectors of emoji.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufe0e\ufe0f\ufeff]")
_WIDE_OR_NARROW = re.compile("[\u3000\uff01-\uffee]")
_APOSTROPHES = str.maketrans("\u2019\u02bc", "''")


def read_answer(value: object) -> str:
    """Reads an answer from a cell of a table or a value of a JSON file.

    Args:
        value: a text, number or boolean, also of NumPy; or None, NaN or another null of pandas for no answer.

    Returns:
        Texts as they are written; `yes` or `no` for a boolean; a number without `.0`. Empty if there is no answer: for
        nulls, blanks, the words that programs write for a null (`nan`, `null`), infinite numbers, and other types.
    """
    if isinstance(value, str):
        visible = _INVISIBLE.sub("", value).strip()
        return "" if not visible or visible in _NO_ANSWER else value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating) and math.isfinite(value):
        return str(value).removesuffix(".0")
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value.normalize():f}"
    return ""


def as_written(answer: str) -> str:
    """Returns the answer itself: a key by which only equal texts are one answer."""
    return answer


@lru_cache(_CACHE_SIZE)
def answer_form(answer: str) -> str:
    """Returns the form of an answer: answers with an equal form are one answer.

    Capitals become small letters, runs of blanks one space; blanks at the ends, one final full stop and invisible
    characters are dropped; letters are composed (NFC), full-width letters become ordinary ones and a typographic
    apostrophe a straight one. A full stop inside a number stays, and so does an answer that is nothing else.
    """
    form = to_small_letters(standard_characters(_INVISIBLE.sub("", answer)))
    form = " ".join(form.translate(_APOSTROPHES).split())
    return form[:-1].rstrip() or form if form.endswith(tuple(_FULL_STOPS)) else form


def things_form(answer: str) -> str:
    """Returns the form of an answer of several things, separated by ", ": the forms of the things in their order."""
    return SEPARATOR.join(sorted({answer_form(thing) for thing in answer.split(SEPARATOR)}))


def standard_characters(text: str) -> str:
    """Composes letters with their accents (NFC), and replaces full-width and half-width characters by ordinary ones.

    NFKC would do both, but also make "5²" to "52" and "½" to "1⁄2".
    """
    text = _WIDE_OR_NARROW.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    return unicodedata.normalize("NFC", text)


def to_small_letters(text: str) -> str:
    """Returns the text in small letters. That of the Turkish capital I with a dot is i, with one dot."""
    return text.lower().replace("i\u0307", "i")


def tidy(answer: str) -> str:
    """Returns the answer in composed letters, with single spaces instead of runs of blanks and none at the ends."""
    return " ".join(unicodedata.normalize("NFC", answer).split())


def most_frequent(answers: Iterable[str]) -> str:
    """Returns the answer that most people gave, by form, in its most frequent spelling; empty if nobody answered.

    Of equally frequent ones it is the first.
    """
    answers = list(answers)
    if not answers:
        return ""
    form = Counter(map(answer_form, answers)).most_common(1)[0][0]
    return Counter(answer for answer in answers if answer_form(answer) == form).most_common(1)[0][0]
