"""Keyword arguments of a function as the arguments of a command, so that both accept and refuse the same."""

import argparse
from collections.abc import Iterable, Mapping
from typing import NoReturn

from san_core.command_line import CommandLine
from san_core.errors import InputError


class Checked(CommandLine):
    """A parser for calls from Python: what is wrong is raised."""

    def error(self, message: str) -> NoReturn:
        """Raises the one line."""
        raise InputError(message)


def as_arguments(
    options: Mapping[str, object], parser: argparse.ArgumentParser, *, left_out: Iterable[str]
) -> list[str]:
    """The command line that says the same as keyword arguments.

    Args:
        options: values by name, which is the option's with `_` for `-`. True sets a switch, None leaves an option at
            its default; an option that may be repeated takes a list, or a mapping where it is NAME=VALUE.
        parser: of the command.
        left_out: options that make no sense in a call.

    Raises:
        InputError: for a name that is no option.
    """
    actions = {
        action.dest: action for action in parser._actions if action.option_strings and action.dest not in left_out
    }
    for name in options:
        if name not in actions:
            raise InputError(f"unknown option {name!r}; accepted: {', '.join(sorted(actions))}")
    return [text for name, value in options.items() if value is not None for text in _texts(actions[name], value)]


def _texts(action: argparse.Action, value: object) -> list[str]:
    if action.nargs == 0:  # a switch; one with two names is turned off by the second
        return list(action.option_strings[:1] if value else action.option_strings[1:2])
    if isinstance(value, Mapping):
        value = [f"{name}={chosen}" for name, chosen in value.items()]
    return [f"{action.option_strings[0]}={one}" for one in (value if isinstance(value, list | tuple) else [value])]
