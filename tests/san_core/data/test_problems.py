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


def _with_losses(lost: int, entries: int, allowed_loss: float | None = None) -> Problems:
    problems = Problems(allowed_loss=allowed_loss)
    problems.add_file("any file", entries)
    problems.add("only reported", "anywhere")
    for number in range(lost):
        problems.lose("no answer" if number else "no id", f"line {number}")
    return problems


def test_one_entry_or_one_in_a_hundred_may_be_left_out() -> None:
    _with_losses(0, 0).check_losses()
    _with_losses(1, 2).check_losses()
    _with_losses(3, 300).check_losses()


def test_all_entries_may_never_be_left_out() -> None:
    with pytest.raises(InputError, match=re.escape("1 of 1 entries (100.0%) would be left out: 1 x no id: line 0;")):
        _with_losses(1, 1, 0.9).check_losses()


def test_more_losses_are_an_error_that_counts_them_by_reason() -> None:
    with pytest.raises(InputError) as error:
        _with_losses(3, 60).check_losses()
    assert str(error.value) == (
        "3 of 60 entries (5.0%) would be left out: 2 x no answer: line 1; 1 x no id: line 0; "
        "accepted: up to 1.0%; --allow-loss SHARE accepts more"
    )


def test_the_user_may_allow_more() -> None:
    _with_losses(30, 60, 0.5).check_losses()
    with pytest.raises(InputError, match=r"accepted: up to 50.0%; --allow-loss SHARE accepts more"):
        _with_losses(31, 60, 0.5).check_losses()
    _with_losses(1, 60, 0.0).check_losses()


def test_each_file_is_checked_alone() -> None:
    problems = Problems()
    problems.add_file("train.json", 1_000)
    problems.add_file("test.json", 15)
    problems.add_file("test.json", 5)
    for number in range(10):
        problems.lose("no id", f"train.json entry {number}", file="train.json")
    problems.lose("no id", "test.json entry 3", file="test.json")
    problems.check_losses()
    problems.lose("no answer", "test.json entry 4", "'' is none", file="test.json")
    with pytest.raises(InputError, match=re.escape("2 of 20 entries of test.json (10.0%)")) as error:
        problems.check_losses()
    assert "1 x no id: entry 3; 1 x no answer: entry 4 ('' is none); accepted" in str(error.value)
    assert "train.json" not in str(error.value)


def test_losses_of_no_file_are_a_share_of_all_entries() -> None:
    problems = Problems()
    problems.add_file("a.json", 60)
    problems.add_file("b.json", 60)
    for number in range(2):
        problems.lose("no picture", number)
    with pytest.raises(InputError, match=re.escape("2 of 120 entries (1.7%) would be left out: 2 x no picture: 0;")):
        problems.check_losses()


def test_damage_that_hides_entries_is_refused_unless_the_user_allows_a_share() -> None:
    def damaged(allowed_loss: float | None) -> Problems:
        problems = Problems(allowed_loss=allowed_loss)
        problems.add_file("a.json", 1_000)
        problems.lose_rest("cut off", "a.json line 7", "no end", file="a.json", entries=5)
        return problems

    with pytest.raises(InputError, match=re.escape("at least 5 of 1,000 entries of a.json (0.5%) would be left out: ")):
        damaged(None).check_losses()
    damaged(0.01).check_losses()
    with pytest.raises(InputError, match="5 x cut off: line 7"):
        damaged(0.001).check_losses()


def test_strict_refuses_the_first_loss() -> None:
    with pytest.raises(InputError, match="7: odd; without --strict"):
        Problems(strict=True).lose("odd", 7)
