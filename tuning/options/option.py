"""What is declared of one option: its help and unit, how its text is read, what `--resume` does with it."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from san_core.command_line import number

OPTION = "option"
"""Key of an `Option` in the metadata of a dataclass field."""

AUTO = "auto"
"""Value of `--gpus-per-trial`: measure how many trials fit on a GPU."""

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
"""Seconds of each unit of time."""


class Group(Enum):
    """The headings that `--help` and the tables in docs/ list options under."""

    SEARCHED = "what is searched"
    LENGTH = "how long (whichever comes first; +N adds to a search that is resumed)"
    PLACE = "where it runs and what it leaves"


class OnResume(Enum):
    """What an option does when it is given together with `--resume`, in the words of the tables in docs/.

    Attributes:
        SAME: it must be what it was.
        REPLACED: its value takes the place of the earlier one, and is kept.
        THIS_TIME: it counts for this run of the command, and is given anew each time.
        MOVED: it names the place of the same data, where they were moved.
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


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is declared of an option besides its name, type and default, which are those of the dataclass field.

    Attributes:
        group: heading that it is listed under.
        help: one line, without its default.
        unit: what the value counts or names, for the tables in docs/; empty for a switch and where `choices` say it.
        default_text: what happens without the option, where no default value says it.
        parse: makes a value of the text on the command line; raises `argparse.ArgumentTypeError`.
        choices: the only accepted values; empty accepts whatever `parse` does.
        metavar: stands for the value in `--help`; empty takes the option's name.
        flag: what is typed, where it is not the field's name with `-` for `_`.
        excludes: whether it excludes the other options of its group that have this set.
        on_resume: what it does together with `--resume`.
        recorded: how settings.json keeps it.
        bound: whether it bounds the search.
        environment: environment variable that is used where the option is not given; empty for none.
    """

    group: Group
    help: str
    unit: str = ""
    default_text: str = ""
    parse: Callable[[str], Any] = str
    choices: Sequence[str] = ()
    metavar: str = ""
    flag: str = ""
    excludes: bool = False
    on_resume: OnResume = OnResume.SAME
    recorded: Recorded = Recorded.NOT
    bound: bool = False
    environment: str = ""


@dataclass(frozen=True)
class Declared:
    """A declared option: its name in Python, its default, and what `Option` says of it."""

    name: str
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """What is typed on the command line."""
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def default_text(self) -> str:
        """What happens where the option is not given; empty where that goes without saying."""
        unsaid = self.default is None or self.default is False or self.default == ()
        return self.option.default_text or ("" if unsaid else str(self.default))


def option(default: Any, group: Group, text: str, **declared: Any) -> Any:  # noqa: ANN401 - as dataclasses.field()
    """A dataclass field that is an option.

    Args:
        default: its value when it is not given: True or False makes a switch, a tuple an option that may be repeated.
        group: heading that it is listed under.
        text: its help.
        declared: other attributes of `Option`.
    """
    return field(default=default, metadata={OPTION: Option(group=group, help=text, **declared)})


@dataclass(frozen=True)
class Amount:
    """How much, or how much more, of something that bounds a search.

    Attributes:
        text: as it was given.
        value: as a number: trials, seconds, or hours.
        more: whether it comes on top of what was used up before (`+N`).
    """

    text: str
    value: float
    more: bool

    def after(self, used: float) -> float:
        """The bound, where `used` of it is used up or was allowed before."""
        return used + self.value if self.more else self.value


def amount(kind: type[int] | type[float], at_least: float) -> Callable[[str], Amount]:
    """A `parse` function: a number >= `at_least`, or that many more with a + before it."""
    parse = number(kind, at_least=at_least)
    return lambda text: Amount(text, parse(text.removeprefix("+")), text.startswith("+"))


def duration(text: str) -> Amount:
    """A `parse` function: a time above 0 with its unit, in seconds, or that much more with a + before it."""
    found = re.fullmatch(r"\+?(\d+(?:\.\d+)?)(s|m|min|h|d)", text.strip())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m or 2h, but got {text!r}")
    return Amount(text, float(found[1]) * _UNITS[found[2]], text.startswith("+"))


def gpu_share(text: str) -> float | str:
    """A `parse` function: a number of GPUs >= 0, or `auto`."""
    return text if text == AUTO else number(float, at_least=0)(text)
