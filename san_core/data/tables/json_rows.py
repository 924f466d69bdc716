"""Reads rows from JSON and JSON lines, in the layouts that data sets of questions have."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from san_core.data.problems import Problems
from san_core.data.tables.column_names import IMAGE, KEY, NAMES, SPLIT, is_question, simplify, split_of_word
from san_core.data.tables.file_rows import FileRows
from san_core.data.text_files import DECODER, RepeatedKeys, replace_lone_surrogates, salvage
from san_core.errors import InputError

ACCEPTED = (
    "a list of objects, an object with one list, an object of objects, JSON lines; pictures may have lists of questions"
)

_DELIMITED = {".csv", ".tsv", ".tab", ".psv"}
_LINES = {".jsonl", ".ndjson"}
_LIST = re.compile(r'\A\s*(?=\[)|"([^"\\]{1,100})"\s*:\s*\[(?=\s*\{)')
_LISTS_TRIED = 8
_LONGEST_END = 1000
"""Characters behind the end of a list that may be damaged without a loss."""

Place = int | str


def looks_like_json(path: Path, text: str) -> bool:
    """Whether a text is JSON or JSON lines, and no table of lines and columns."""
    start = text.lstrip()
    if start[:1] not in {"[", "{"}:
        return False
    suffixes = {suffix.lower() for suffix in path.suffixes}
    return not (suffixes & _DELIMITED) or re.match(r'[\[{]\s*[\[{"]', start) is not None


def read_json_rows(path: Path, text: str, problems: Problems) -> FileRows:
    """Reads the rows of a text; the place of each is the number of its entry from 1, its key, or its line.

    Raises:
        InputError: if it is no JSON, or of no layout that is accepted.
    """
    text = replace_lone_surrogates(path, text, problems)
    try:
        if {suffix.lower() for suffix in path.suffixes} & _LINES:
            return _read_lines(path, text, problems)
        content = DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" or _are_lines(text):
            return _read_lines(path, text, problems)
        content = _read_damaged(path, text, error, problems)
    except (ValueError, RecursionError) as error:  # a number with thousands of digits, or too many nested lists
        raise InputError(f"{path} cannot be read: {error}") from error
    return _rows(path, *_entries(path, content), "entry", problems)


def _read_lines(path: Path, text: str, problems: Problems) -> FileRows:
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    lines = [(number, line) for number, line in lines if line]
    places, entries = [number for number, _ in lines], [_read_line(line) for _, line in lines]
    return _rows(path, places, entries, "line", problems)


def _read_line(line: str) -> object:
    """The value of a line; the error if it is not JSON."""
    try:
        return DECODER.decode(line.removesuffix(","))
    except (ValueError, RecursionError) as error:
        return error


def _are_lines(text: str) -> bool:
    """Whether most of the lines are JSON objects."""
    lines = [line for line in text.split("\n", 1000)[:1000] if line.strip()]
    return len(lines) > 1 and sum(map(_is_object, lines)) > len(lines) / 2


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line.strip().removesuffix(",")), dict)
    except (ValueError, RecursionError):
        return False


def _read_damaged(path: Path, text: str, error: json.JSONDecodeError, problems: Problems) -> list[Any]:
    """The entries before the damage; those behind it are lost, as many as the rest of the text would hold."""
    where = f"{path} line {error.lineno} column {error.colno}"
    keys = [found[1] for found, _ in zip(_LIST.finditer(text), range(_LISTS_TRIED), strict=False)]
    salvaged = [salvage(text, key or "") for key in keys]
    entries, end, complete = max(salvaged, key=lambda found: len(found[0]), default=([], 0, False))
    if not entries:
        raise InputError(f"{where}: not JSON ({error.msg})")
    kind, detail = "not JSON from here on, what stands before is used", f"{error.msg}; {len(entries)} entries"
    if complete and len(text) - end < _LONGEST_END:
        problems.add(kind, where, detail)
    else:
        lost = max(1, round(len(entries) * (len(text) - end) / end))
        problems.add_file(path, lost)
        problems.lose_rest(kind, where, detail, file=path, entries=lost)
    return entries


def _entries(path: Path, content: object) -> tuple[Sequence[Place], list[Any]]:
    """The entries of the file, with the number or key of each.

    Raises:
        InputError: if the layout is none that is accepted.
    """
    if isinstance(content, list):
        return range(1, len(content) + 1), content
    if isinstance(content, RepeatedKeys):
        raise InputError(f"{path} has twice: {', '.join(content.repeated)[:80]}; accepted: {ACCEPTED}")
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {_name(content)} alone; accepted: {ACCEPTED}")
    lists = {key: value for key, value in content.items() if isinstance(value, list) and any(map(_is_dict, value))}
    if len(lists) > 1:
        return _several_lists(path, content, lists)
    if lists:
        (entries,) = lists.values()
        return range(1, len(entries) + 1), entries
    if any(map(is_question, content)):
        return [1], [content]
    if content and all(map(_is_dict, content.values())):
        return list(content), [{KEY: key, **value} for key, value in content.items()]
    raise InputError(f"{path} has no list of objects, but {_listed(content)}; accepted: {ACCEPTED}")


def _several_lists(
    path: Path, content: Mapping[str, Any], lists: Mapping[str, list[Any]]
) -> tuple[Sequence[Place], list[Any]]:
    """The entries of lists that are those of splits, or of pictures."""
    entries = [(key, number, entry) for key, values in lists.items() for number, entry in enumerate(values, start=1)]
    places = [f"{key} {number}" for key, number, _ in entries]
    if all(map(split_of_word, lists)):
        return places, [_with(entry, SPLIT, key) for key, _, entry in entries]
    if len(lists) == len(content) and all(any(map(is_question, entry)) for _, _, entry in entries if _is_dict(entry)):
        return places, [_with(entry, KEY, key) for key, _, entry in entries]
    raise InputError(f"{path} has several lists: {_listed(lists)}; accepted: {ACCEPTED}")


def _with(entry: object, name: str, value: str) -> object:
    return {name: value, **entry} if isinstance(entry, dict) else entry


def _rows(path: Path, places: Sequence[Place], entries: Sequence[Any], unit: str, problems: Problems) -> FileRows:
    """The entries that are objects; a picture with a list of questions becomes a row for each."""
    found: list[Place] = []
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    count = 0
    for place, entry in zip(places, entries, strict=True):
        for row in _questions_of(entry):
            count += 1
            if isinstance(row, dict) and not isinstance(row, RepeatedKeys):
                found.append(place)
                numbers.append(count)
                rows.append(row)
            elif isinstance(row, Exception):
                problems.lose("not JSON, left out", f"{path} {unit} {place}", str(row), file=path)
            else:
                problems.lose("entry cannot be read, left out", f"{path} {unit} {place}", _flaw(row), file=path)
    problems.add_file(path, count)
    return FileRows(unit, found, numbers, rows)


def _flaw(row: object) -> str:
    if isinstance(row, RepeatedKeys):
        return f"it has {', '.join(row.repeated)} twice"
    return f"{_name(row)} in place of an object"


def _questions_of(entry: object) -> Sequence[object]:
    """The rows of an entry: itself, or its questions, each with what the picture says of itself."""
    if not isinstance(entry, dict) or any(map(is_question, entry)):
        return [entry]
    nested = [key for key, value in entry.items() if isinstance(value, list) and _are_questions(value)]
    if len(nested) != 1:
        return [entry]
    picture = {key: value for key, value in entry.items() if key != nested[0]}
    names = {name for group in NAMES[IMAGE] for name in group}
    number = picture.pop("id", None)
    if number is not None and not any(simplify(key) in names for key in picture):
        picture["image_id"] = number
    return [{**picture, **row} if isinstance(row, dict) else row for row in entry[nested[0]]]


def _are_questions(values: Sequence[object]) -> bool:
    return any(isinstance(value, dict) and any(map(is_question, value)) for value in values)


def _is_dict(value: object) -> bool:
    return isinstance(value, dict)


def _name(value: object) -> str:
    names = {list: "a list", dict: "an object", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def _listed(content: Mapping[str, Any]) -> str:
    shown = [f"{key[:40]!r}: {_name(value)}" for key, value in list(content.items())[:5]]
    return ", ".join(shown) + (", ..." if len(content) > len(shown) else "") if shown else "nothing"
