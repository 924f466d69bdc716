"""The declared options as a command line, and as the keyword arguments of a function."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from results.run_folder import RunFolder
from san_core.command_line import CommandLine
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from search_spaces import SearchSpace
from tuning.options.option import Declared, Group
from tuning.options.search_options import FROM_PYTHON, SearchOptions, declared_options

DESCRIPTION = "Searches the hyperparameters of a Stacked Attention Network: Optuna chooses, Ray Tune places and runs."

COMMAND_ONLY = ("json",)
"""Options that say what the command prints; `search(...)` prints nothing."""


class _RaisingParser(CommandLine):
    """A parser that raises what is wrong, for calls from Python."""

    def error(self, message: str) -> NoReturn:
        """Raises the message."""
        raise InputError(message)


def parse_options(arguments: Sequence[str] | None = None) -> SearchOptions:
    """The options on a command line; None takes this program's. Exits with code 2 if some are wrong, naming all."""
    return _parse(sys.argv[1:] if arguments is None else arguments, CommandLine)


def options_from_keywords(keywords: Mapping[str, object]) -> SearchOptions:
    """The options that a call from Python gives, checked as those on a command line are.

    Args:
        keywords: values by the option's name in `SearchOptions`. True or False sets a switch, None leaves an option at
            its default; an option that may be repeated takes a list, or a mapping where it is SETTING=VALUE. A path
            may be a `Path`, a run a `RunFolder`, data `PreparedData`, a space a `SearchSpace`, and `try_first` a list
            of configurations.

    Raises:
        InputError: if values are not accepted, or a name is no option; the message names all of them.
    """
    accepted = {name: each for name, each in declared_options().items() if name not in COMMAND_ONLY}
    if unknown := keywords.keys() - accepted.keys():
        names = ", ".join(repr(name) for name in sorted(unknown))
        raise InputError(f"unknown option {names}; accepted: {', '.join(sorted(accepted))}")
    given = {name: value for name, value in keywords.items() if value is not None}
    objects = {name: found for name, value in given.items() if (found := _object(name, value)) is not None}
    texts = {**given, **dict.fromkeys(objects, FROM_PYTHON)}
    options = _parse([text for name, value in texts.items() for text in _typed(accepted[name], value)], _RaisingParser)
    return replace(options, objects=objects)


def _object(name: str, value: object) -> object:
    """The object that stands in the place of a name; None if the value is none."""
    if name == "space" and isinstance(value, SearchSpace):
        return value
    if name == "try_first" and isinstance(value, Mapping):
        return [value]
    return value if name == "try_first" and isinstance(value, list | tuple) else None


def _text(value: object) -> object:
    """The path of an object that has one: one of a run or data set is never taken for its name."""
    if isinstance(value, RunFolder):
        value = value.path
    elif isinstance(value, PreparedData):
        value = value.folder
    return value.absolute() if isinstance(value, Path) and len(value.parts) == 1 else value


def _typed(declared: Declared, value: object) -> list[str]:
    """What would be typed on the command line to give an option this value."""
    if isinstance(declared.default, bool):
        switch = declared.flag if value else f"--no-{declared.flag.removeprefix('--')}"
        return [switch] if value or declared.default else []
    if isinstance(value, Mapping):
        value = [f"{name}={chosen}" for name, chosen in value.items()]
    return [f"{declared.flag}={_text(one)}" for one in (value if isinstance(value, list | tuple) else [value])]


def _parse(arguments: Sequence[str], parser_type: type[CommandLine]) -> SearchOptions:
    problems: list[str] = []
    parser = _parser(parser_type, problems)
    found, unknown = parser.parse_known_args(arguments)
    if unknown:
        problems.append(f"unrecognized arguments: {' '.join(unknown)}")
    environment = _from_environment(vars(found), problems)
    if problems:
        parser.error("; ".join(problems))
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in vars(found).items()
    }
    return SearchOptions(**{**environment, **given}, arguments=tuple(arguments), given=frozenset(given))


def _parser(parser_type: type[CommandLine], problems: list[str]) -> CommandLine:
    """The parser; it adds what is wrong with values to `problems`, so that all of it can be told at once.

    Its namespace holds only the options that were given: `SearchOptions` has the defaults.
    """
    parser = parser_type("tuning.search", DESCRIPTION)
    for group in Group:
        options = [declared for declared in declared_options().values() if declared.option.group is group]
        listed = parser.add_argument_group(group.value)
        excluding = listed.add_mutually_exclusive_group() if any(each.option.excludes for each in options) else listed
        for each in options:
            target = excluding if each.option.excludes else listed
            text = each.option.help + (f" (default: {each.default_text})" if each.default_text else "")
            target.add_argument(
                each.flag, dest=each.name, default=argparse.SUPPRESS, help=text, **_action(each, problems)
            )
    return parser


def _action(declared: Declared, problems: list[str]) -> dict[str, Any]:
    """What argparse does with an option: sets a switch, collects values, or keeps the last one."""
    if isinstance(declared.default, bool):
        return {"action": argparse.BooleanOptionalAction if declared.default else "store_true"}
    return {
        "action": "append" if isinstance(declared.default, tuple) else "store",
        "type": partial(_value, declared, problems),
        "metavar": declared.option.value.metavar or None,
    }


def _from_environment(given: Mapping[str, object], problems: list[str]) -> dict[str, Any]:
    """The options that were not given, but whose environment variable is set."""
    return {
        name: _value(each, problems, os.environ[variable], source=variable)
        for name, each in declared_options().items()
        if (variable := each.option.environment) and name not in given and os.environ.get(variable)
    }


def _value(declared: Declared, problems: list[str], text: str, *, source: str = "") -> object:
    """The value that a text stands for; None if it is not accepted, which is added to `problems`."""
    try:
        return declared.option.value.parse(text)
    except argparse.ArgumentTypeError as error:
        problems.append(f"{source or f'argument {declared.flag}'}: {error}")
        return None
