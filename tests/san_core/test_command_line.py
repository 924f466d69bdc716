import re
from argparse import ArgumentTypeError

import pytest

from san_core.command_line import number, run_command
from san_core.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("1", 1), ("+7", 7)], ids=["above", "on the limit", "with a sign"]
)
def test_whole_number_in_range_is_read(text: str, value: int) -> None:
    found = number(int, at_least=1)(text)
    assert found == value
    assert isinstance(found, int)


def test_number_in_range_is_read() -> None:
    assert number(float, at_least=0, below=1)("2.5e-1") == 0.25


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "one", "nan", "1e3"])
def test_what_is_no_whole_number_in_range_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=re.escape(f"must be a whole number >= 1, but got {text!r}")):
        number(int, at_least=1)(text)


@pytest.mark.parametrize("text", ["1", "-0.1", "half", "nan", "inf", ""])
def test_what_is_no_number_in_range_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=re.escape(f"must be a number >= 0 and < 1, but got {text!r}")):
        number(float, at_least=0, below=1)(text)


def _bad_input() -> None:
    raise InputError("hops must be a whole number >= 1, but got 0")


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("main", "code", "printed"),
    [
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (_bad_input, 2, "error: hops must be a whole number >= 1, but got 0\n"),
        (_interrupt, 130, "interrupted\n"),
    ],
    ids=["done", "own code", "bad input", "interrupted"],
)
def test_command_exits_with_a_code_and_at_most_one_line(
    main: object, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(main)
    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == code
    assert tuple(capsys.readouterr()) == ("", printed)


def test_bug_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug, not bad input")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_command(fail)
