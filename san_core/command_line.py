"""Code that all commands share: the argument parser, one-line errors, exit codes, and messages to the user."""

import argparse
import codecs
import contextlib
import io
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from san_core.errors import InputError
from san_core.files import from_home, path_from_home
from san_core.signals import end_on_signals, exit_code

_PLAIN = {"–": "-", "—": "-", "…": "...", "±": "+/-", "×": "x", "·": "-", "→": "->", "’": "'", "“": '"', "”": '"'}
"""What is printed where a terminal lacks a character of our own texts; for all others it is a question mark."""


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that shows the default of each option that has one, unless its text does so already."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default in ("", [])
        if nothing or "(default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


class CommandLine(argparse.ArgumentParser):
    """An argument parser that reports an error in one line and exits with code 2."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=f"python -m {prog}",
            description=description,
            formatter_class=_Help,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Prints the error in one line and exits with code 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


_commands = 0


def is_command() -> bool:
    """Whether this process runs a command, and no program of somebody else's that calls our functions."""
    return _commands > 0


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command's main function and exits: 0 done, 2 bad input, 130 Ctrl-C, 143 SIGTERM, 129 closed terminal.

    Characters that the terminal's encoding lacks are replaced in all that the command prints.
    """
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")
    global _commands  # noqa: PLW0603
    _commands += 1
    try:
        with end_on_signals():
            code = _run(main)
    finally:
        _commands -= 1
    sys.exit(code)


def _run(main: Callable[[], int | None]) -> int:
    try:
        code = main() or 0
        sys.stdout.flush()
    except BrokenPipeError:  # the program that reads the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except InputError as error:
        message = str(error).replace("\n", "\\n")  # a path may hold a line break
        print(f"error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return exit_code()
    return code


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replaces characters that cannot be encoded; an error handler as `codecs.register_error` takes it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


def print_message(text: str) -> None:
    """Prints a message for the user to stderr; stdout is kept for results."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def printing_to_stderr(only_if: bool) -> Iterator[None]:
    """Sends to stderr what anything prints meanwhile, if stdout is for a program to read: it gets the result alone."""
    with contextlib.redirect_stdout(sys.stderr) if only_if else contextlib.nullcontext():
        yield


def program(name: str) -> str:
    """What to type to start a program of this Python environment from the current folder, as short as possible."""
    program = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(program):
        return name
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)


def path(text: str) -> Path:
    """An argument type for argparse: a path; `~` is the home folder."""
    path_text(text)
    return path_from_home(text)


def path_text(text: str) -> str:
    """An argument type for argparse: a path, a name or a URI as text; `~` is the home folder."""
    try:
        return from_home(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def number(
    kind: type[int] | type[float], *, at_least: float, below: float = math.inf, most: float = math.inf
) -> Callable[[str], int | float]:
    """An argument type for argparse: a number with `at_least` <= number < `below`.

    Another value is an error that names the value and the range. So is one above `most`, which only an error names:
    nobody wants that many.
    """

    def parse(text: str) -> int | float:
        accepted = f"{'a whole number' if kind is int else 'a number'} >= {at_least:g}"
        if math.isfinite(below):
            accepted += f" and < {below:.0f}"
        try:
            value = kind(text)
        except ValueError:
            value = kind(at_least) - 1
        if value > most:
            raise argparse.ArgumentTypeError(f"must be at most {most:,.0f}, but got {text!r}")
        if not at_least <= value < below:
            raise argparse.ArgumentTypeError(f"must be {accepted}, but got {text!r}")
        return value

    return parse
