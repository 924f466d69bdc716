import numpy as np
import pytest

from san_core.data.tables.answer_cells import Answers, read_answers
from san_core.errors import InputError


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("cup", Answers("cup")),
        (2, Answers("2")),
        (2.0, Answers("2")),
        (True, Answers("yes")),
        (None, Answers("")),
        (float("nan"), Answers("")),
        ("None", Answers("None")),
        ("NA", Answers("NA")),
        ("[unclear]", Answers("[unclear]")),
        (["a", "b", "b"], Answers("b", ("a", "b", "b"))),
        (["a", None, ""], Answers("a", ("a",))),
        ([{"answer": "a", "answer_confidence": "yes"}, {"answer": 3}], Answers("a", ("a", "3"))),
        ("['a', 'b', 'b']", Answers("b", ("a", "b", "b"))),
        ('["it\'s", "b"]', Answers("it's", ("it's", "b"))),
        ("[{'answer': 'a', 'id': 1}]", Answers("a", ("a",))),
        ("['a' 'b'\n 'b']", Answers("b", ("a", "b", "b"))),
        ("[]", Answers("")),
        ("[2, 2, 3]", Answers("2", ("2", "2", "3"))),
        ("[True, False, True]", Answers("yes", ("yes", "no", "yes"))),
        ("[None, 'a']", Answers("a", ("a",))),
        ("[nan, nan]", Answers("")),
        ("['nan is bread', nan]", Answers("nan is bread", ("nan is bread",))),
        ("('a', 'b', 'b')", Answers("b", ("a", "b", "b"))),
        (("a", "b", "b"), Answers("b", ("a", "b", "b"))),
        ("(5)", Answers("(5)")),
        ("(left) or (right)", Answers("(left) or (right)")),
    ],
    ids=repr,
)
def test_forms_of_answers(cell: object, answers: Answers) -> None:
    assert read_answers([cell]) == answers


def test_numpy_writes_its_lists_as_they_are_read() -> None:
    answers = ["a cup", "it's", 'the "cup"', "a cup"]
    assert read_answers([str(np.array(answers, dtype=object))]).people == tuple(answers)


def test_a_column_for_each_person() -> None:
    assert read_answers(["a", None, "b", "b"]) == Answers("b", ("a", "b", "b"))


def test_the_right_answer_may_be_given() -> None:
    assert read_answers([["a", "b", "b"]], "a") == Answers("a", ("a", "b", "b"))


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (["a", ["b"]], "a list of lists"),
        ({"text": "a"}, "an object without answer, but with text"),
        ("['a', 'b'", "it begins as a list but is none"),
        ("['a', b]", "it begins as a list but is none"),
        ("x" * 1001, "an answer of more than 1,000 characters"),
        ("['" + "x" * 100_000, "a list of more than 100,000 characters"),
    ],
)
def test_other_cells_are_refused(cell: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_answers([cell])
