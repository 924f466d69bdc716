import random
import string
import time

import pytest

from san_core.data.answers.slips import find_slips


@pytest.mark.parametrize(
    ("counts", "lines"),
    [
        (
            {"2": 9, "two": 3, "three": 4},
            ["1 answer is there in digits and in words, as different answers: `2` (9) and `two` (3)"],
        ),
        (
            {"2": 9, "2.0": 3, "3.0": 4},
            ["1 answer is there with and without .0, as different answers: `2` (9) and `2.0` (3)"],
        ),
        (
            {"chair": 8, "chairs": 2, "bus": 3, "buses": 3, "berry": 2, "berries": 9},
            [
                "3 answers are there in singular and plural, as different answers: `bus` (3) and `buses` (3); "
                "`berry` (2) and `berries` (9); `chair` (8) and `chairs` (2)"
            ],
        ),
        (
            {"table": 20, "tabel": 1, "tabe": 3, "taable": 2, "tabble": 1},
            [
                "3 answers are there with a likely misspelling, as different answers: `table` (20) and `taable` (2); "
                "`table` (20) and `tabble` (1); `table` (20) and `tabel` (1)"
            ],
        ),
        (
            {"table": 60, "tables": 1},
            ["1 answer is there in singular and plural, as different answers: `table` (60) and `tables` (1)"],
        ),
        ({"nan": 4, "yes": 9}, ["`nan` is the answer of 4 questions: leave it out if it means none"]),
        (
            {"NA": 4, "#N/A": 1, "yes": 9},
            [
                "`NA` is the answer of 4 questions: leave it out if it means none",
                "`#N/A` is the answer of 1 questions: leave it out if it means none",
            ],
        ),
        ({"table": 9, "tabel": 1}, []),  # too rare to tell which is right
        ({"hooks": 1, "books": 99, "right": 99, "night": 1}, []),  # real words differ in a letter
        ({"room 12": 99, "room 1": 1, "12345": 99, "1234": 1}, []),  # numbers
        ({"cat": 99, "cta": 1, "yes": 9, "no": 9, "": 50}, []),
    ],
)
def test_likely_slips_are_told(counts: dict[str, int], lines: list[str]) -> None:
    assert find_slips(answer for answer, count in counts.items() for _ in range(count)) == lines


def test_hundred_thousand_answers_take_seconds() -> None:
    rng = random.Random(0)
    answers = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(5, 14))) for _ in range(100_000)]
    begun = time.perf_counter()
    find_slips(answer for i, answer in enumerate(answers) for _ in range(1 + i % 6))
    assert time.perf_counter() - begun < 30  # comparing all pairs would take hours
