import re

import pytest

from san_core.data.problems import Problem, Problems
from san_core.errors import InputError


def test_problem_says_where_and_what() -> None:
    problems = Problems()
    problems.add("empty question", "a.txt line 3")
    problems.add("not an image number", "b.txt line 1", "'seven\nor\teight'")
    assert [str(problem) for problem in problems.found] == [
        "a.txt line 3: empty question",
        "b.txt line 1: not an image number ('seven or eight')",
    ]


def test_summary_counts_each_kind_and_shows_its_first() -> None:
    problems = Problems()
    problems.add("rare", "z", "only one")
    for number in range(1_234):
        problems.add("frequent", f"line {number}")
    assert problems.summary() == ["1,234 x frequent: line 0; line 1; line 2; ...", "1 x rare: z (only one)"]


def test_three_of_a_kind_are_shown_whole() -> None:
    problems = Problems()
    for number in range(3):
        problems.add("odd", number)
    assert problems.summary() == ["3 x odd: 0; 1; 2"]
    assert Problems().summary() == []


def test_strict_makes_the_first_problem_an_error() -> None:
    problems = Problems(strict=True)
    with pytest.raises(InputError, match="a.txt line 3: empty question; without --strict this is only reported"):
        problems.add("empty question", "a.txt line 3")


def test_strict_says_what_happens_otherwise() -> None:
    problems = Problems(strict=True, otherwise="problems.txt lists all")
    with pytest.raises(InputError, match=re.escape("7: odd; without --strict problems.txt lists all")):
        problems.add("odd", 7)


def test_problems_found_earlier_are_kept_or_refused() -> None:
    problems = Problems()
    for place in ("here", "there"):
        problems.append(Problem("odd", place))
    assert problems.summary() == ["2 x odd: here; there"]
    with pytest.raises(InputError, match="here: odd"):
        Problems(strict=True).append(Problem("odd", "here"))


def _with_losses(lost: int, entries: int, **options: float) -> Problems:
    problems = Problems(**options)
    problems.entries = entries
    problems.add("only reported", "anywhere")
    for number in range(lost):
        problems.lose("no answer" if number else "no id", f"line {number}")
    return problems


def test_one_entry_or_one_in_a_hundred_may_be_left_out() -> None:
    _with_losses(0, 0).check_losses()
    _with_losses(1, 2).check_losses()
    _with_losses(3, 300).check_losses()


def test_more_losses_are_an_error_that_counts_them_by_reason() -> None:
    with pytest.raises(InputError) as error:
        _with_losses(3, 60).check_losses()
    assert str(error.value) == (
        "3 of 60 entries (5.0%) would be left out, accepted: up to 1.0%, or what --allow-loss says; "
        "2 x no answer: line 1; 1 x no id: line 0"
    )


def test_the_user_may_allow_more() -> None:
    _with_losses(30, 60, allowed_loss=0.5).check_losses()
    with pytest.raises(InputError, match=r"accepted: up to 50.0%"):
        _with_losses(31, 60, allowed_loss=0.5).check_losses()
