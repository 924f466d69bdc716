import os
import re
import subprocess
import sys
from argparse import ArgumentTypeError

import pytest

from san_core.command_line import CommandLine, number, run_command
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


def test_help_names_each_default_once_and_only_where_there_is_one() -> None:
    parser = CommandLine("tune", "Tunes.")
    parser.add_argument("--seed", default=0, help="of the draw")
    parser.add_argument("--share", default=0.0, help="of the images")
    parser.add_argument("--name", default="san", help="of the space")
    parser.add_argument("--run", help="its name (default: the time)")
    parser.add_argument("--keep", default=3, help="how many (default: 3 of them)")
    parser.add_argument("--out", help="a file")
    parser.add_argument("--text", default="", help="some words")
    parser.add_argument("--set", action="append", default=[], help="a setting")
    parser.add_argument("--json", action="store_true", help="for programs")
    lines = [line.split() for line in parser.format_help().splitlines() if line.startswith("  --")]
    told = {option: " ".join(word for word in words if word != option[2:].upper()) for option, *words in lines}
    assert told == {
        "--seed": "of the draw (default: 0)",
        "--share": "of the images (default: 0.0)",
        "--name": "of the space (default: san)",
        "--run": "its name (default: the time)",
        "--keep": "how many (default: 3 of them)",
        "--out": "a file",
        "--text": "some words",
        "--set": "a setting",
        "--json": "for programs",
    }


def _bad_input() -> None:
    raise InputError("hops must be a whole number >= 1, but got 0")


def _bad_path() -> None:
    raise InputError("runs/a\nb is not there")


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("main", "code", "printed"),
    [
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (_bad_input, 2, "error: hops must be a whole number >= 1, but got 0\n"),
        (_bad_path, 2, "error: runs/a\\nb is not there\n"),
        (_interrupt, 130, "interrupted\n"),
    ],
    ids=["done", "own code", "bad input", "bad path", "interrupted"],
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


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", "0.81 +/- 0.02 - 2 x 3 ... ?? caf?"),
        ("latin-1", "0.81 \u00b1 0.02 - 2 \u00d7 3 ... ?? caf\u00e9"),
        ("utf-8", "0.81 ± 0.02 – 2 × 3 … हा café"),
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_terminal_of_any_encoding_gets_what_it_can_show(stream: str, encoding: str, printed: str) -> None:
    text = "0.81 ± 0.02 – 2 × 3 … हा café"
    script = (
        "import sys\nfrom san_core.command_line import run_command\n"
        f"run_command(lambda: print({text!a}, file=sys.{stream}))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    assert getattr(done, stream).decode(encoding) == f"{printed}\n"


def test_importing_the_package_leaves_the_streams_alone() -> None:
    script = "import sys, san_core.command_line, san_core.data.preparation; print(sys.stdout.errors)"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "strict\n"


def test_name_that_is_not_text_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        sys.stdout.write("bad byte \udcff\n")

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert (ended.value.code, capfd.readouterr().out) == (0, "bad byte ?\n")
