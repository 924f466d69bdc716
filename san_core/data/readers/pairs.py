"""Pairs the questions of one JSON file with the annotations of another, by their question_id."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from san_core.data.ids import id_key, read_id
from san_core.data.images.names import NUMBER, ImageName, key_of, number_of
from san_core.data.problems import Problems
from san_core.data.text_files import RepeatedKeys, read_records

SEVERAL = "question_id that a different entry has too, left out"
OTHER = "annotation is about another picture or question, left out"


@dataclass(frozen=True)
class Entry:
    """An entry of a JSON file with an id.

    Attributes:
        file: the file.
        id: its question_id.
        record: the entry.
    """

    file: Path
    id: int | str
    record: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The key of its id: entries of two files with the same key belong together."""
        return id_key(self.id)

    def __str__(self) -> str:
        return f"{self.file} question_id {self.id}"


Pair = tuple[Entry, Entry | None]


def read_entries(path: Path, key: str, problems: Problems) -> list[Entry | None]:
    """Reads the list under `key` of a JSON file; None stands for an entry that cannot be used.

    Raises:
        InputError: if the file cannot be read, or has no such list.
    """
    entries: list[Entry | None] = []
    for index, record in enumerate(read_records(path, key, problems)):
        where, number = f"{path} {key}[{index}]", None
        if not isinstance(record, dict):
            problems.lose("not a JSON object, left out", where, repr(record)[:80], file=path)
        elif isinstance(record, RepeatedKeys):
            problems.lose("entry that has a key twice, left out", where, ", ".join(record.repeated), file=path)
        elif (number := read_id(record.get("question_id"))) is None:
            problems.lose("entry without a question_id, left out", where, _found(record, "question_id"), file=path)
        entries.append(None if number is None else Entry(path, number, record))
    return entries


def _found(record: Mapping[str, Any], key: str) -> str:
    """What an entry has under a key, or else its keys."""
    return repr(record[key])[:80] if key in record else f"its keys: {', '.join(record)}"[:80]


def unique_entries(entries: Iterable[Entry | None], problems: Problems) -> list[Entry]:
    """The entries that no other entry shares its id with; of several equal ones the first."""
    groups = _group(entries)
    _leave_out(groups, [key for key, group in groups.items() if _differ(group)], problems)
    return _firsts(groups, problems)


def pair_entries(
    questions: Sequence[Entry | None], annotations: Sequence[Entry | None], problems: Problems
) -> list[Pair]:
    """Pairs questions with annotations, by their ids.

    Where ids repeat and both files have the same ids in the same order, they are paired by order, unless there are so
    few rows that this may be by chance. Otherwise nobody can tell which annotation belongs to which question, and
    every entry with such an id is left out, in both files. A pair is left out too if both have an image_id or a
    question, and these differ.

    Returns:
        The questions in the order of their file; None where a question has no annotation.
    """
    asked, answered = _group(questions), _group(annotations)
    several = (key for groups in (asked, answered) for key, group in groups.items() if _differ(group))
    repeated = list(dict.fromkeys(several))  # in the order of the files
    if repeated and (pairs := _pair_by_order(questions, annotations)):
        first = pairs[0][0].file
        problems.add(
            "question_id repeats, paired by order: both files have the same ids in the same order",
            first,
            f"{len(repeated)} ids of {len(pairs)} questions repeat",
        )
        return pairs
    _leave_out(asked, repeated, problems)
    _leave_out(answered, repeated, problems)
    annotation = {entry.key: entry for entry in _firsts(answered, problems)}
    pairs = [(entry, annotation.get(entry.key)) for entry in _firsts(asked, problems)]
    _report_surplus([entry for entry in annotation.values() if entry.key not in asked], pairs, problems)
    return [pair for pair in pairs if _is_one(pair, problems)]


def _report_surplus(surplus: Sequence[Entry], pairs: Sequence[Pair], problems: Problems) -> None:
    """Reports annotations without a question. They are lost only if questions lack theirs, which these may be.

    Otherwise the questions are a part of those that the annotations are for.
    """
    if not pairs or any(annotation is None for _, annotation in pairs):
        for entry in surplus:
            problems.lose("annotation without a question, left out", entry, file=entry.file)
    elif surplus:
        problems.note(
            f"{surplus[0].file}: {len(surplus):,} annotations have no question, left out, such as question_id "
            f"{surplus[0].id}; all questions have an annotation"
        )


def _is_one(pair: Pair, problems: Problems) -> bool:
    """Whether question and annotation belong together; if not, the pair is counted as lost."""
    question, annotation = pair
    difference = _difference(question, annotation) if annotation else ""
    if difference:
        problems.lose(OTHER, question, difference, file=question.file)
    return not difference


def _group(entries: Iterable[Entry | None]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry is not None:
            groups.setdefault(entry.key, []).append(entry)
    return groups


def _differ(group: Sequence[Entry]) -> bool:
    """Whether entries with the same id say different things."""
    contents = [{**entry.record, "question_id": entry.key} for entry in group]
    return any(content != contents[0] for content in contents[1:])


def _leave_out(groups: dict[str, list[Entry]], keys: Iterable[str], problems: Problems) -> None:
    """Removes the entries with certain keys."""
    for key in keys:
        for entry in groups.pop(key, []):
            problems.lose(SEVERAL, entry, file=entry.file)


def _firsts(groups: Mapping[str, Sequence[Entry]], problems: Problems) -> list[Entry]:
    """The first entry of each group; the others are equal to it."""
    for group in groups.values():
        for entry in group[1:]:
            problems.add("entry that is there twice, the first is used", entry)
    return [group[0] for group in groups.values()]


def _pair_by_order(questions: Sequence[Entry | None], annotations: Sequence[Entry | None]) -> list[Pair]:
    """Pairs the entries of two files row by row; nothing if their ids or other shared values differ in any row."""
    if len(questions) != len(annotations):
        return []
    pairs: list[Pair] = []
    for asked, answered in zip(questions, annotations, strict=True):
        if asked is None or answered is None or asked.key != answered.key or _difference(asked, answered):
            return []
        pairs.append((asked, answered))
    return [] if _may_be_chance(asked.key for asked, _ in pairs) else pairs


def _difference(asked: Entry, answered: Entry) -> str:
    """Values that a question and an annotation both have and that differ; empty if there are none."""
    for name, equal in _SHARED.items():
        one, other = (read_id(entry.record.get(name)) for entry in (asked, answered))
        if one is not None and other is not None and not equal(id_key(one), id_key(other)):
            return f"{name} {one!r:.60}, but {other!r:.60} in the annotation"
    return ""


def _same_image(one: str, other: str) -> bool:
    """Whether two names are of one picture: 4, "0004", "4.jpg" and "COCO_val2014_000000000004" may be."""
    names = [ImageName.read(name.replace("\\", "/")) for name in (one, other)]
    if any(NUMBER.fullmatch(name.stem) for name in names):
        numbers = [number_of(name) for name in names]
        return bool(numbers[0]) and numbers[0] == numbers[1]
    return key_of(names[0]) == key_of(names[1])


def _same_text(one: str, other: str) -> bool:
    return one.casefold().split() == other.casefold().split()


_SHARED: Mapping[str, Callable[[str, str], bool]] = {"image_id": _same_image, "question": _same_text}
"""Keys that questions and annotations may both have, and when their values are equal."""


def _may_be_chance(keys: Iterable[str]) -> bool:
    """Whether shuffled rows would have their keys in the same order in one case of a million, or more often."""
    counts = Counter(keys)
    orders = math.lgamma(counts.total() + 1) - sum(math.lgamma(count + 1) for count in counts.values())
    return orders < math.log(1e6)
