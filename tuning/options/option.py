"""The declaration of one option: its help, its values, and its meaning together with `--resume`."""

import argparse
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from san_core.command_line import number, path_text
from tuning.execution.trial_setup import WIDTHS

OPTION = "option"
"""Key of an `Option` in the metadata of a dataclass field."""

AUTO = "auto"
"""Value of `--gpus-per-trial` and `--cohort`: measure what suits the machine."""

MOST_FOLDS = 20
"""Most folds: each trial that is not stopped is trained so many times."""

MOST = 10**6
"""The largest of the numbers that have no limit of their own: nothing is searched so many times."""

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
"""Seconds of each unit of time."""


LONGEST = 3650 * 86400
"""Longest duration, in seconds."""


class Group(Enum):
    """The headings that `--help` and the tables in docs/ list options under."""

    SEARCHED = "what is searched"
    LENGTH = "how long (whichever comes first; +N adds to a search that is resumed)"
    PLACE = "where it runs and what it leaves"


class OnResume(Enum):
    """What an option does when it is given together with `--resume`, in the words of the tables in docs/.

    Attributes:
        SAME: the value must be the same as before.
        REPLACED: the value replaces the earlier one in settings.json.
        THIS_TIME: the value counts only for this run of the command.
        MOVED: the value is the new place of the same data.
    """

    SAME = "cannot change"
    REPLACED = "replaces"
    THIS_TIME = "this time only"
    MOVED = "same data, moved"


class Recorded(Enum):
    """How settings.json keeps an option under the option's own name."""

    NOT = "not at all"
    AS_GIVEN = "the value that was given, or the default"
    AS_USED = "what the value, or the default, came to on this data set and machine"


@dataclass(frozen=True)
class Value:
    """The values that an option takes.

    Attributes:
        unit: unit or kind of the value, with its range; for the tables in docs/.
        parse: function from the text on the command line to the value; it raises `argparse.ArgumentTypeError`.
        metavar: name of the value in `--help`; empty for the option's name.
    """

    unit: str
    parse: Callable[[str], Any] = str
    metavar: str = ""


@dataclass(frozen=True, kw_only=True)
class Option:
    """The declaration of an option. Its name, type and default are those of the dataclass field.

    Attributes:
        group: heading that it is listed under.
        help: one line, without its default.
        value: the kind of value; not used for a switch.
        default_text: description of what happens without the option, if the default value does not say it.
        flag: name on the command line, if it is not the field's name with `-` for `_`.
        excludes: whether the option excludes the other options of its group that have this set.
        on_resume: meaning of the option together with `--resume`.
        recorded: form in which settings.json keeps it.
        bound: whether the option bounds the search.
        environment: environment variable that is used where the option is not given; empty for none.
    """

    group: Group
    help: str
    value: Value = Value("")
    default_text: str = ""
    flag: str = ""
    excludes: bool = False
    on_resume: OnResume = OnResume.SAME
    recorded: Recorded = Recorded.NOT
    bound: bool = False
    environment: str = ""


@dataclass(frozen=True)
class Declared:
    """A declared option: its name in Python, its default, and its `Option`."""

    name: str
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """What is typed on the command line."""
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def default_text(self) -> str:
        """What happens if the option is not given; empty if it then has no effect."""
        unsaid = self.default is None or self.default is False or self.default == ()
        return self.option.default_text or ("" if unsaid else str(self.default))


def option(default: Any, group: Group, help_text: str, **declared: Any) -> Any:  # noqa: ANN401 - as dataclasses.field()
    """A dataclass field that is an option.

    Args:
        default: value of an option that is not given. True or False makes a switch, a tuple an option that may be
            repeated.
        group: heading that it is listed under.
        help_text: help of the option, one line.
        declared: other attributes of `Option`.
    """
    return field(default=default, metadata={OPTION: Option(group=group, help=help_text, **declared)})


@dataclass(frozen=True)
class Amount:
    """How much, or how much more, of something that bounds a search.

    Attributes:
        text: the text that was given.
        value: the number: trials, seconds, or hours.
        more: whether the number comes on top of what was used before (`+N`).
    """

    text: str
    value: float
    more: bool

    def after(self, used: float) -> float:
        """The bound, where `used` of it is used up or was allowed before."""
        return used + self.value if self.more else self.value


def text(unit: str, metavar: str = "") -> Value:
    """Takes any text."""
    return Value(unit, str, metavar)


def place(unit: str, metavar: str = "") -> Value:
    """Takes a path, a name or a URI; `~` is the home folder."""
    return Value(unit, path_text, metavar)


def choice(choices: Iterable[str]) -> Value:
    """Takes one of a few words."""
    words = tuple(choices)

    def parse(given: str) -> str:
        if given not in words:
            accepted = ", ".join(map(repr, words))
            raise argparse.ArgumentTypeError(f"invalid choice: {given!r} (choose from {accepted})")
        return given

    return Value(", ".join(f"`{word}`" for word in words), parse, f"{{{','.join(words)}}}")


def whole(unit: str, at_least: int, *, below: float = math.inf, metavar: str = "") -> Value:
    """Takes a whole number in a range."""
    limit = f" and < {below:.0f}" if math.isfinite(below) else ""
    parse = number(int, at_least=at_least, below=below, most=math.inf if limit else MOST)
    return Value(f"{unit}, >= {at_least}{limit}", parse, metavar)


def amount(unit: str, kind: type[int] | type[float], at_least: int, metavar: str = "") -> Value:
    """Takes an `Amount`: a number from `at_least` to `MOST`, or that many more with a + before it."""
    parse = number(kind, at_least=at_least, most=MOST)
    return Value(
        f"{unit}, >= {at_least}",
        lambda given: Amount(given, parse(given.removeprefix("+")), given.startswith("+")),
        metavar,
    )


def duration() -> Value:
    """Takes an `Amount` of time, in seconds: a number above 0 with its unit, or that much more with a + before it."""

    def parse(given: str) -> Amount:
        found = re.fullmatch(r"\+?(\d+(?:\.\d+)?)(s|m|min|h|d)", given.strip())
        if found is None or not float(found[1]):
            raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m or 2h, but got {given!r}")
        seconds = float(found[1]) * _UNITS[found[2]]
        if seconds > LONGEST:
            raise argparse.ArgumentTypeError(f"must be at most {LONGEST // _UNITS['d']}d, but got {given!r}")
        return Amount(given, seconds, given.startswith("+"))

    return Value("time with s, m, h or d", parse)


def gpu_share() -> Value:
    """Takes a number of GPUs >= 0, or `auto`."""
    return Value(
        f"GPUs, 0 to 1, or `{AUTO}`", lambda given: given if given == AUTO else number(float, at_least=0)(given)
    )


def folds() -> Value:
    """Takes a number of folds, or `auto`."""

    def parse(given: str) -> int | str:
        if given != AUTO and not (given.isdecimal() and 1 <= int(given) <= MOST_FOLDS):
            raise argparse.ArgumentTypeError(
                f"must be a whole number from 1 to {MOST_FOLDS}, or auto, but got {given!r}"
            )
        return given if given == AUTO else int(given)

    return Value(f"whole number of folds, 1 to {MOST_FOLDS}; or `{AUTO}`", parse)


def steps() -> Value:
    """Takes a number of training steps, or `auto`."""
    parse = number(int, at_least=1, most=MOST)
    return Value(f"steps, >= 1; or `{AUTO}`", lambda given: given if given == AUTO else parse(given))


def cohort_width() -> Value:
    """Takes one of `WIDTHS`, or `auto`."""
    words = (AUTO, *map(str, WIDTHS))

    def parse(given: str) -> int | str:
        if given not in words:
            raise argparse.ArgumentTypeError(f"must be {', '.join(words[:-1])} or {words[-1]}, but got {given!r}")
        return given if given == AUTO else int(given)

    return Value(f"trials: {', '.join(words[1:-1])} or {words[-1]}; or `{AUTO}`", parse)
