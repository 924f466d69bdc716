"""Reads lines and JSON records of a data set's files; of a damaged file, as much as possible."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

from san_core.data.problems import Problems
from san_core.errors import InputError
from san_core.files import read_bytes

# An escaped backslash, a pair of surrogates, or a surrogate alone.
_SURROGATES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def read_text(path: Path, problems: Problems) -> str:
    """Reads a text file: UTF-8, or UTF-16 with a byte order mark. Other content is a problem and is read as Latin-1.

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
        problems.add("not UTF-8, read as Latin-1", f"{path} line {line}", f"byte {content[error.start]:#04x}")
        return content.decode("latin-1")


def _read_utf16(path: Path, content: bytes, problems: Problems) -> str:
    try:
        return content.decode("utf-16")
    except UnicodeDecodeError as error:
        problems.add("not UTF-16 as its first bytes say, U+FFFD replaces what is not", f"{path} byte {error.start}")
        return content.decode("utf-16", errors="replace")


def read_lines(path: Path, problems: Problems) -> list[str]:
    """Reads the lines of a file without surrounding white space and without empty lines at the end."""
    lines = [line.strip() for line in read_text(path, problems).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_records(path: Path, key: str, problems: Problems) -> list[Any]:
    """Reads the list under `key` of a JSON file, or a file that is a list; if it is damaged, what precedes the damage.

    Raises:
        InputError: if the file cannot be read, or has no such list.
    """
    text = replace_lone_surrogates(path, read_text(path, problems), problems)
    try:
        content = json.loads(text)
        records = content.get(key) if isinstance(content, dict) else content
    except json.JSONDecodeError as error:
        records = salvage(text, key)
        where = f"{path} line {error.lineno} column {error.colno}"
        if not records:
            raise InputError(f"{where}: not JSON ({error.msg})") from error
        problems.add("not JSON from here on, what stands before is used", where, f"{error.msg}; {len(records)} {key}")
    except (ValueError, RecursionError) as error:  # a number with thousands of digits, or too many nested lists
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(records, list):
        raise InputError(f'{path} has no list of {key}; accepted: {{"{key}": [...]}} or [...]')
    return records


def read_id(value: object) -> int | str | None:
    """Returns an id found in a JSON file, or None if it is neither a whole number nor a text."""
    if isinstance(value, bool) or value == "":
        return None
    return value if isinstance(value, int | str) else None


def replace_lone_surrogates(path: Path, text: str, problems: Problems) -> str:
    """Replaces lone surrogates in JSON text, which cannot be written to a file."""
    lone = [found for found in _SURROGATES.finditer(text) if found["lone"]]
    if not lone:
        return text
    line = text.count("\n", 0, lone[0].start()) + 1
    problems.add("half a character, U+FFFD replaces it", f"{path} line {line}", f"{len(lone)} such")
    return _SURROGATES.sub(lambda found: "\\ufffd" if found["lone"] else found[0], text)


def salvage(text: str, key: str) -> list[Any]:
    """The complete values of the list under `key`, up to the first incomplete one."""
    start = re.search(rf'\A\s*\[|"{re.escape(key)}"\s*:\s*\[', text)
    records: list[Any] = []
    if not start:
        return records
    decoder, separator = json.JSONDecoder(), re.compile(r"[\s,]*")
    position = start.end()
    while True:
        gap = separator.match(text, position)
        try:
            record, position = decoder.raw_decode(text, gap.end() if gap else position)
        except (ValueError, RecursionError):
            return records
        records.append(record)
