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
