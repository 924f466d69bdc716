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


def read_records(path: Path, key: str, problems: Problems) -> list[dict[str, Any]]:
    """The objects listed under `key` of a JSON file; of a damaged file those before the damage.

    Raises:
        InputError: if the file cannot be read, or has no such list.
    """
    text = _whole_characters(path, read_text(path, problems), problems)
    try:
        content = json.loads(text)
        records = content[key] if isinstance(content, dict) else None
    except KeyError:
        records = None
    except json.JSONDecodeError as error:
        records = _salvage(text, key)
        where = f"{path} line {error.lineno} column {error.colno}"
        if not records:
            raise InputError(f"{where}: not JSON ({error.msg})") from error
        problems.add("not JSON from here on, what stands before is used", where, f"{error.msg}; {len(records)} {key}")
    if not isinstance(records, list):
        raise InputError(f"{path} has no list {key!r}; accepted: a JSON object with one, as in the official VQA files")
    kept = [record for record in records if isinstance(record, dict)]
    if len(kept) < len(records):
        place = next(i for i, record in enumerate(records) if not isinstance(record, dict))
        problems.add("not a JSON object, left out", f"{path} {key}[{place}]", f"{len(records) - len(kept)} such")
    return kept


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
    start = re.search(rf'"{re.escape(key)}"\s*:\s*\[', text)
    records: list[Any] = []
    if not start:
        return records
    decoder, separator = json.JSONDecoder(), re.compile(r"[\s,]*")
    place = start.end()
    while True:
        gap = separator.match(text, place)
        try:
            record, place = decoder.raw_decode(text, gap.end() if gap else place)
        except json.JSONDecodeError:
            return records
        records.append(record)
