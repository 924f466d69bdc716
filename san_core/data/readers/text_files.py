"""Lines and JSON records of a data set's files, as much of a damaged file as can be read."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

from san_core.data.problems import Problems
from san_core.errors import InputError
from san_core.files import read_bytes

# An escaped backslash, a pair of surrogates, or one of them alone.
_SURROGATES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def read_text(path: Path, problems: Problems) -> str:
    """A file as text: UTF-8, or UTF-16 if it says so. Anything else is a flaw, and is read as Latin-1.

    Raises:
        InputError: if it cannot be read.
    """
    content = read_bytes(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _read_utf16(path, content, problems)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problems.add("not UTF-8, read as Latin-1", f"{path} line {line}", f"byte {content[error.start]:#04x}")
        return content.decode("latin-1")


def _read_utf16(path: Path, content: bytes, problems: Problems) -> str:
    try:
        return content.decode("utf-16")
    except UnicodeDecodeError as error:
        problems.add("not UTF-16 as its first bytes say, U+FFFD replaces what is not", f"{path} byte {error.start}")
        return content.decode("utf-16", errors="replace")


def read_lines(path: Path, problems: Problems) -> list[str]:
    """A file's lines without surrounding blanks; empty lines at its end are left out."""
    lines = [line.strip() for line in read_text(path, problems).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_records(path: Path, key: str, problems: Problems) -> list[Any]:
    """What a JSON file lists under `key`, or lists without more; of a damaged file what stands before the damage.

    Raises:
        InputError: if the file cannot be read, or has no such list.
    """
    text = _whole_characters(path, read_text(path, problems), problems)
    try:
        content = json.loads(text)
        records = content.get(key) if isinstance(content, dict) else content
    except json.JSONDecodeError as error:
        records = _salvage(text, key)
        where = f"{path} line {error.lineno} column {error.colno}"
        if not records:
            raise InputError(f"{where}: not JSON ({error.msg})") from error
        problems.add("not JSON from here on, what stands before is used", where, f"{error.msg}; {len(records)} {key}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a list in a list in a ...
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(records, list):
        raise InputError(f'{path} has no list of {key}; accepted: {{"{key}": [...]}} or [...]')
    return records


def read_id(value: object) -> int | str | None:
    """An id of a JSON file; None where it is not a whole number or a text."""
    if isinstance(value, bool) or value == "":
        return None
    return value if isinstance(value, int | str) else None


def _whole_characters(path: Path, text: str, problems: Problems) -> str:
    """JSON text without escapes of half a character (a lone surrogate), which no file can hold."""
    halves = [found for found in _SURROGATES.finditer(text) if found["lone"]]
    if not halves:
        return text
    line = text.count("\n", 0, halves[0].start()) + 1
    problems.add("half a character, U+FFFD replaces it", f"{path} line {line}", f"{len(halves)} such")
    return _SURROGATES.sub(lambda found: "\\ufffd" if found["lone"] else found[0], text)


def _salvage(text: str, key: str) -> list[Any]:
    """The whole values of the list under `key`, up to the first that is not."""
    start = re.search(rf'\A\s*\[|"{re.escape(key)}"\s*:\s*\[', text)
    records: list[Any] = []
    if not start:
        return records
    decoder, separator = json.JSONDecoder(), re.compile(r"[\s,]*")
    place = start.end()
    while True:
        gap = separator.match(text, place)
        try:
            record, place = decoder.raw_decode(text, gap.end() if gap else place)
        except (ValueError, RecursionError):
            return records
        records.append(record)
