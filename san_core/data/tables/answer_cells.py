"""Reads the answers in the cells of a table: one answer, a list of them, or one for each person."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Sequence
from typing import NamedTuple

from san_core.data.answers.forms import most_frequent, read_answer
from san_core.errors import InputError

LONGEST = 1000
"""Longest answer in characters; a longer one is more likely a part of the file that a quote has swallowed."""

_LIST = re.compile(r"""\[\s*['"{\[]|\[\s*\]|\{\s*['"]answer['"]""")
_ENDS = {"[": "]", "(": ")"}
_TEXT_OR_NAN = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\b[nN]a[nN]\b""", re.DOTALL)
_LONGEST_LIST = 100_000


class Answers(NamedTuple):
    """The answers to a question.

    Attributes:
        right: the most frequent answer; empty if there is none.
        people: each person's answer; empty where one person answered.
    """

    right: str
    people: tuple[str, ...] = ()


def read_answers(
    cells: Sequence[object], right: object = None, *, read: Callable[[object], str] = read_answer
) -> Answers:
    """Reads the answers to a question.

    Args:
        cells: one cell, with an answer or a list of answers; or one for each person.
        right: the right answer, where it is given beside those of people.
        read: reads one answer; empty if it is none.

    Raises:
        InputError: if a cell has something else. The message is the reason.
    """
    values = [_parse(cell) for cell in cells]
    several = len(cells) > 1 or isinstance(values[0] if values else None, list | tuple)
    people = tuple(answer for value in values for answer in _texts(value, read) if answer)
    modal = read(right) or most_frequent(people)
    if max(map(len, (modal, *people))) > LONGEST:
        raise InputError(f"an answer of more than {LONGEST:,} characters")
    return Answers(modal, people if several else ())


def _parse(cell: object) -> object:
    """The list or object that a text is, in Python's or JSON's notation; anything else as it is."""
    text = cell.strip() if isinstance(cell, str) else ""
    surely = _LIST.match(text) is not None
    if not surely and (len(text) < 2 or _ENDS.get(text[0]) != text[-1]):
        return cell
    if len(text) > _LONGEST_LIST:
        raise InputError(f"a list of more than {_LONGEST_LIST:,} characters")
    for parse in (json.loads, _python_literal):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            continue
        return value if surely or isinstance(value, list | tuple) else cell  # (5) is a text
    if surely:
        raise InputError("it begins as a list but is none")
    return cell


def _python_literal(text: str) -> object:
    """A Python literal, which may hold NaN. Numpy writes lists without commas, `['a' 'b']`: for Python one text."""
    text = _TEXT_OR_NAN.sub(lambda found: found[1] or "None", text)
    value = ast.literal_eval(text)
    if not isinstance(value, list):
        return value
    tokens = list(tokenize.generate_tokens(io.StringIO(text.replace("\n", " ")).readline))
    texts = [token for token in tokens if token.type == tokenize.STRING]
    neighbours = any(a.type == b.type == tokenize.STRING for a, b in zip(tokens, tokens[1:], strict=False))
    return [ast.literal_eval(token.string) for token in texts] if neighbours else value


def _texts(value: object, read: Callable[[object], str]) -> list[str]:
    """The answers of a value: of a list, each of its entries; of an object, its `answer`."""
    if not isinstance(value, list | tuple):
        return [_text(value, read)]
    if any(isinstance(entry, list | tuple) for entry in value):
        raise InputError("a list of lists")
    return [_text(entry, read) for entry in value]


def _text(value: object, read: Callable[[object], str]) -> str:
    if not isinstance(value, dict):
        return read(value)
    if "answer" not in value:
        raise InputError(f"an object without answer, but with {', '.join(map(str, value))[:80] or 'nothing'}")
    return read(value["answer"])
