import re

import pytest

from san_core.data.problems import Problem, Problems
from san_core.errors import InputError


def test_flaw_says_where_and_what() -> None:
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
        problems.add("flaw", number)
    assert problems.summary() == ["3 x flaw: 0; 1; 2"]
    assert Problems().summary() == []


def test_strict_makes_the_first_flaw_an_error() -> None:
    problems = Problems(strict=True)
    with pytest.raises(InputError, match="a.txt line 3: empty question; without --strict this is only reported"):
        problems.add("empty question", "a.txt line 3")


def test_strict_says_what_happens_otherwise() -> None:
    problems = Problems(strict=True, otherwise="flaws.txt lists all")
    with pytest.raises(InputError, match=re.escape("7: flaw; without --strict flaws.txt lists all")):
        problems.add("flaw", 7)


def test_flaws_known_already_are_kept_or_refused() -> None:
    problems = Problems()
    for place in ("here", "there"):
        problems.take(Problem("flaw", place))
    assert problems.summary() == ["2 x flaw: here; there"]
    with pytest.raises(InputError, match="here: flaw"):
        Problems(strict=True).take(Problem("flaw", "here"))
