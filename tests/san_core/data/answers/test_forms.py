from decimal import Decimal

import numpy as np
import pytest

from san_core.data.answers.forms import answer_form, as_written, most_frequent, read_answer, things_form, tidy


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("a cat", "a cat"),
        ("YES. ", "YES. "),
        ("none", "none"),
        ("None", "None"),
        ("2.50", "2.50"),
        (2, "2"),
        (2.0, "2"),
        (2.5, "2.5"),
        (-3.0, "-3"),
        (np.int64(3), "3"),
        (np.float32(2.1), "2.1"),
        (Decimal("2.00"), "2"),
        (Decimal("100"), "100"),
        (10**400, "1" + "0" * 400),
        (True, "yes"),
        (False, "no"),
        (np.True_, "yes"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_cell_is_read_as_the_answer_it_holds(value: object, answer: str) -> None:
    assert read_answer(value) == answer


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "  \t", "\u200b", "nan", " NaN ", "null", "NULL", "<NA>"),
        *(float("nan"), np.float64("nan"), float("inf"), Decimal("NaN"), np.datetime64("NaT"), [], {"answer": "yes"}),
    ],
    ids=repr,
)
def test_cell_without_an_answer_is_empty(value: object) -> None:
    assert read_answer(value) == ""


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "yes",
            "Yes",
            "YES",
            " yes",
            "yes\t",
            "yes.",
            "YES .",
            "yes\N{NO-BREAK SPACE}",
            "\ufeffyes",
            "Ｙｅｓ",
            "yes。",
        ],
        ["hot dog", "Hot  Dog", "hot\ndog."],
        ["café", "cafe\u0301", "CAFÉ", "CAFE\u0301."],
        ["don't know", "Don’t know"],
        ["2", "2.", "２"],
        ["3.5", "3.5."],
        ["U.S.", "u.s."],
        ["İstanbul", "istanbul", "i\u0307stanbul"],
        ["हाँ", "हाँ।"],
        ["نعم", "\u200fنعم", "نعم۔"],
        ["می‌شود", "میشود"],
        ["バス", "ﾊﾞｽ"],
    ],
    ids=lambda spellings: spellings[0],
)
def test_answers_that_differ_only_in_spelling_have_one_form(spellings: list[str]) -> None:
    assert {answer_form(spelling) for spelling in spellings} == {answer_form(spellings[0])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("yes", "no"), ("2", "3"), ("3.5", "35"), ("25", "2.5"), ("5²", "52"), ("½", "1/2"), ("hot dog", "hotdog")),
        *(
            ("resume", "résumé"),
            ("Masse", "Maße"),
            ("two", "2"),
            ("cat", "cats"),
            ("-1", "1"),
            (".", ""),
            ("yes!", "yes"),
        ),
    ],
)
def test_other_answers_have_different_forms(one: str, other: str) -> None:
    assert answer_form(one) != answer_form(other)


def test_full_stop_alone_stays() -> None:
    assert answer_form(" . ") == "."


def test_form_of_a_form_is_itself() -> None:
    for answer in ("YES.", "Hot  Dog", "Ｙｅｓ", "İstanbul", "2."):
        assert answer_form(answer_form(answer)) == answer_form(answer)


def test_things_of_an_answer_have_one_form_in_any_order() -> None:
    assert things_form("Table, cup.") == things_form("cup, table") == "cup, table"
    assert things_form("cup, Cup") == "cup"
    assert answer_form("Paris, France") == "paris, france"  # not things, but one answer


def test_as_written_tells_all_apart() -> None:
    assert as_written("Yes ") == "Yes "


def test_tidy_answer_keeps_its_capitals_and_its_full_stop() -> None:
    assert tidy(" Hot \n Cafe\u0301. ") == "Hot Café."


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ([], ""),
        (["no"], "no"),
        (["no", "no", "Yes", "yes", "yes"], "yes"),  # three people said yes, two no
        (["No", "no", "Yes", "Yes"], "No"),  # the first of equals
        (["Yes.", "no", "yes"], "Yes."),
    ],
)
def test_most_frequent_answer_is_counted_by_form(answers: list[str], chosen: str) -> None:
    assert most_frequent(answers) == chosen
