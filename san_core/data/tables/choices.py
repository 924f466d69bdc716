"""Tells whether the answers of a table are the places of the right choices instead of their texts."""

from collections.abc import Mapping

from san_core.data.answers.forms import read_answer
from san_core.data.tables.answer_cells import read_answers
from san_core.data.tables.column_names import simplify
from san_core.data.tables.columns import Columns
from san_core.data.tables.records import Rows
from san_core.errors import InputError

_NAMES = {"choices", "options", "candidates", "multiplechoices", "answerchoices"}


def note_on_places(rows: Rows, columns: Columns) -> str | None:
    """A line for the user if every answer is a number that can be the place of a choice; None otherwise.

    The answers of AOK-VQA's and ScienceQA's tables are such numbers. As answers they mean nothing: 0 is another text in
    every row.
    """
    lists = [name for name in rows.columns if simplify(name) in _NAMES]
    if not lists or len(columns.answers) != 1:
        return None
    choices, answer = lists[0], columns.answers[0]
    answered = [row for row in rows.rows if row.get(answer) is not None]
    if not answered or not all(_is_place(row, choices, answer) for row in answered):
        return None
    return (
        f"{rows.path}: the answers in the column {answer} are numbers, maybe places in the column {choices}; they are "
        f"used as they are, so the model learns numbers; if it should learn texts, write the chosen ones into {answer}"
    )


def _is_place(row: Mapping[str, object], choices: str, answer: str) -> bool:
    place = read_answer(row[answer])
    try:
        offered = read_answers([row.get(choices)]).people
    except InputError:
        return False
    return place.isdecimal() and int(place) <= len(offered) and place not in offered
