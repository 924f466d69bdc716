"""Finds the columns of a table that hold questions, answers and pictures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from san_core.data.tables.column_names import (
    ANSWER,
    ANSWER_TYPE,
    ID,
    IMAGE,
    KEY,
    NAMES,
    QUESTION,
    QUESTION_TYPE,
    SPLIT,
    annotator,
    simplify,
)
from san_core.data.tables.records import Rows
from san_core.errors import InputError

ROLES = tuple(NAMES)
"""What a column can be; the names that `--column` takes."""

_SHOWN, _LONGEST = 30, 40


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they hold; None, or nothing, where there is no such column.

    Attributes:
        question: the questions.
        image: a name or id of the picture, or the picture itself.
        answers: the answers; several columns hold the answers of one person each.
        right_answer: the right answer, where `answers` holds those of several people.
        id: ids of the questions.
        answer_type, question_type: kinds, by which scores are grouped.
        split: the splits.
    """

    question: str
    image: str
    answers: tuple[str, ...] = ()
    right_answer: str | None = None
    id: str | None = None
    answer_type: str | None = None
    question_type: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        named: list[tuple[str, Sequence[str | None]]] = [
            (QUESTION, [self.question]),
            (ANSWER, [*self.answers, self.right_answer]),
            (IMAGE, [self.image]),
            (ID, [self.id]),
            (ANSWER_TYPE, [self.answer_type]),
            (QUESTION_TYPE, [self.question_type]),
            (SPLIT, [self.split]),
        ]
        found = {role: [name for name in names if name] for role, names in named}
        return ", ".join(f"{role} = {_listed(names)}" for role, names in found.items() if names)


def find_columns(rows: Rows, chosen: Mapping[str, Sequence[str]] | None = None) -> Columns:
    """Finds the columns by the names that people use; a column without any value counts as missing.

    Args:
        rows: rows of a file.
        chosen: the columns that the user has named, by role (`ROLES`).

    Raises:
        InputError: if the column of questions or pictures is missing, if several may be meant, or if the user has named
            one that is not there. The message lists the columns.
    """
    return _Finder(rows, chosen or {}).find()


class _Finder:
    def __init__(self, rows: Rows, chosen: Mapping[str, Sequence[str]]) -> None:
        self._rows = rows
        self._chosen = {role: [self._named(role, name) for name in names] for role, names in chosen.items()}
        taken = {name for names in self._chosen.values() for name in names}
        self._free = [name for name in rows.columns if name not in taken]

    def find(self) -> Columns:
        answers, right_answer = self._answers()
        question, image = self._one(QUESTION), self._one(IMAGE)
        number = self._first(ID, excluded={image})
        if image is None and KEY in self._free:
            image = KEY
        elif number is None and KEY in self._free:
            number = KEY
        if question is None or image is None:
            raise missing_column(self._rows.path, self._rows.columns, QUESTION if question is None else IMAGE)
        answer_type = self._first(ANSWER_TYPE)
        return Columns(
            question=question,
            image=image,
            answers=answers,
            right_answer=right_answer,
            id=number,
            answer_type=answer_type,
            question_type=self._first(QUESTION_TYPE, excluded={answer_type}),
            split=self._first(SPLIT),
        )

    def _named(self, role: str, name: str) -> str:
        """The column that the user has named; empty for answers that the file does not have, as test files may not."""
        exact = [column for column in self._rows.columns if column == name]
        found = exact or [column for column in self._rows.columns if simplify(column) == simplify(name)]
        if len(found) == 1:
            return found[0]
        if not found and role == ANSWER:
            return ""
        raise self._error(role, f"--column {role}={name} fits {len(found) or 'no'} column{'s' * (len(found) > 1)}")

    def _answers(self) -> tuple[tuple[str, ...], str | None]:
        """The columns of answers, and that of the right answers beside those of several people."""
        if ANSWER in self._chosen:
            return tuple(name for name in self._chosen[ANSWER] if name), None
        exact, loose = (self._known(names) for names in NAMES[ANSWER])
        numbered = ((annotator(name), name) for name in self._free if self._has_values(name))
        people = sorted((number, name) for number, name in numbered if number is not None)
        if [simplify(name) for name in sorted(exact)] == ["answers", "multiplechoiceanswer"]:
            return (min(exact),), max(exact)
        if len(exact) > 1 or (people and (exact or loose)) or (not exact and len(loose) > 1):
            raise self._several(ANSWER, [*exact, *(name for _, name in people), *loose])
        return tuple(exact or [name for _, name in people] or loose), None

    def _one(self, role: str) -> str | None:
        """The column of a role.

        Raises:
            InputError: if several have names that mean it equally.
        """
        if role in self._chosen:
            return self._chosen[role][0]
        for names in NAMES[role]:
            found = self._known(names)
            if len(found) > 1:
                raise self._several(role, found)
            if found:
                return found[0]
        return None

    def _first(self, role: str, excluded: Collection[str | None] = ()) -> str | None:
        """The first column of a role that does no harm if it is another one."""
        if role in self._chosen:
            return self._chosen[role][0]
        found = [name for names in NAMES[role] for name in self._known(names) if name not in excluded]
        return found[0] if found else None

    def _known(self, names: Sequence[str]) -> list[str]:
        return [name for name in self._free if simplify(name) in names and self._has_values(name)]

    def _has_values(self, name: str) -> bool:
        return any(row.get(name) not in (None, "") for row in self._rows.rows)

    def _several(self, role: str, found: Sequence[str]) -> InputError:
        return self._error(role, f"several columns may be that of the {role} ({_listed(found)})")

    def _error(self, role: str, what: str) -> InputError:
        return _error(self._rows.path, self._rows.columns, role, what)


def missing_column(path: Path, columns: Sequence[str], role: str) -> InputError:
    """The error that a table has no column of a role; it lists the columns."""
    return _error(path, columns, role, f"no column is known as that of the {role}")


def _error(path: Path, columns: Sequence[str], role: str, what: str) -> InputError:
    return InputError(f"{path}: {what}; --column {role}=NAME names it; its columns: {_listed(columns)}")


def _listed(names: Sequence[str]) -> str:
    """The first names, shortened, in one line."""
    shown = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..." for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return " ".join(f"{', '.join(shown)}{more}".split())
