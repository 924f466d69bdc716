"""Reads lines and JSON records of a data set's files; of a damaged file, as much as possible."""

import codecs
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from san_core.data.problems import Problems
from san_core.errors import InputError
from san_core.files import read_bytes

# An escaped backslash, a pair of surrogates, or a surrogate alone.
_SURROGATES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

_LINE_END = re.compile(r"\r*\n|\r")
_SEPARATOR = re.compile(r"[\s,]*")


def read_text(path: Path, problems: Problems) -> str:
    """Reads a text file: UTF-8, or UTF-16 with a byte order mark.

    Other content is a problem. It is read as Windows-1252, or as Latin-1 where it cannot be that, unless most of its
    letters beyond ASCII are UTF-8: then U+FFFD replaces the damaged ones.

    Raises:
        InputError: if it cannot be read.
    """
    return decode(path, read_bytes(path), problems)


def decode(path: Path, content: bytes, problems: Problems) -> str:
    """The text of a file, from its content; see `read_text`."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _read_utf16(path, content, problems)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        where, detail = f"{path} line {line}", f"byte {content[error.start]:#04x}"
        text = content.decode("utf-8-sig", errors="replace")
        damaged = text.count("\ufffd")
        if len(text) - len(text.encode("ascii", errors="ignore")) > 2 * damaged:
            problems.add("not UTF-8 in places, U+FFFD replaces what is not", where, f"{detail}; {damaged:,} such")
            return text
        return _read_one_byte_letters(content, where, detail, problems)


def _read_one_byte_letters(content: bytes, where: str, detail: str, problems: Problems) -> str:
    """Text in Windows-1252, the usual encoding of CSV files that Excel writes; in Latin-1 where it cannot be that."""
    try:
        text, name = content.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        text, name = content.decode("latin-1"), "Latin-1"
    problems.add(f"not UTF-8, read as {name}", where, detail)
    return text


def _read_utf16(path: Path, content: bytes, problems: Problems) -> str:
    try:
        return content.decode("utf-16")
    except UnicodeDecodeError as error:
        problems.add("not UTF-16 as its first bytes say, U+FFFD replaces what is not", f"{path} byte {error.start}")
        return content.decode("utf-16", errors="replace")


def read_lines(path: Path, problems: Problems) -> list[str]:
    """Reads the lines of a file without surrounding white space; lines end as on any system.

    Blank lines stay, those at the end too, so that files that are read side by side can be compared.
    """
    lines = [line.strip() for line in _LINE_END.split(read_text(path, problems))]
    return lines if lines[-1] else lines[:-1]


def read_records(path: Path, key: str, problems: Problems) -> list[Any]:
    """Reads the list under `key` of a JSON file, or a file that is a list; if it is damaged, what precedes the damage.

    An object that has a key twice is a `RepeatedKeys`. The number of entries is added to `problems`.

    Raises:
        InputError: if the file cannot be read, or has no such list.
    """
    text = replace_lone_surrogates(path, read_text(path, problems), problems)
    try:
        content = DECODER.decode(text)
    except json.JSONDecodeError as error:
        content = _read_damaged(path, text, key, error, problems)
    except (ValueError, RecursionError) as error:  # a number with thousands of digits, or too many nested lists
        raise InputError(f"{path} cannot be read: {error}") from error
    records = content.get(key) if isinstance(content, dict) else content
    if not isinstance(records, list):
        accepted = f'accepted: {{"{key}": [...]}} or [...]'
        raise InputError(f"{path} has no list of {key}, but {_describe(content)}; {accepted}")
    if isinstance(content, RepeatedKeys) and key in content.repeated:
        raise InputError(f"{path} has two lists of {key}; accepted: one")
    problems.add_file(path, len(records))
    return records


class RepeatedKeys(dict[str, Any]):
    """A JSON object that has a key twice, as when two objects run into each other.

    Attributes:
        repeated: the keys that it has twice.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    return content if len(content) == len(pairs) else RepeatedKeys(pairs)


DECODER = json.JSONDecoder(object_pairs_hook=_read_object)


def _describe(content: object) -> str:
    """What a JSON file holds, for an error: at most its first keys."""
    if not isinstance(content, dict):
        return f"a JSON {type(content).__name__}"
    keys = [*content]
    return f"the keys {', '.join(keys[:8])}{', ...' if len(keys) > 8 else ''}" if keys else "an empty object"


def replace_lone_surrogates(path: Path, text: str, problems: Problems) -> str:
    """Replaces lone surrogates in JSON text, which cannot be written to a file."""
    lone = [found for found in _SURROGATES.finditer(text) if found["lone"]]
    if not lone:
        return text
    line = text.count("\n", 0, lone[0].start()) + 1
    problems.add("half a character, U+FFFD replaces it", f"{path} line {line}", f"{len(lone)} such")
    return _SURROGATES.sub(lambda found: "\\ufffd" if found["lone"] else found[0], text)


def _read_damaged(path: Path, text: str, key: str, error: json.JSONDecodeError, problems: Problems) -> list[Any]:
    """The records before the damage; what stands after it is counted as lost, unless the list ends before it."""
    records, end, complete = salvage(text, key)
    where = f"{path} line {error.lineno} column {error.colno}"
    if not records:
        raise InputError(f"{where}: not JSON ({error.msg})") from error
    kind, detail = "not JSON from here on, what stands before is used", f"{error.msg}; {len(records)} {key}"
    unread = text.count('"question_id"', end)
    if complete and not unread:
        problems.add(kind, where, detail)
    else:
        problems.lose_rest(kind, where, detail, file=path, entries=max(1, unread))
        problems.add_file(path, max(1, unread))
    return records


def salvage(text: str, key: str) -> tuple[list[Any], int, bool]:
    """The complete values of the list under `key` up to the first incomplete one, their end, and whether they are all.

    They are all if the list ends after them.
    """
    start = re.search(rf'\A\s*\[|"{re.escape(key)}"\s*:\s*\[', text)
    records: list[Any] = []
    if not start:
        return records, 0, False
    position = start.end()
    while True:
        gap = _SEPARATOR.match(text, position)
        position = gap.end() if gap else position
        try:
            record, position = DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return records, position, text[position : position + 1] == "]"
        records.append(record)
