"""The type of a search space, and loading one by name or from a file."""

import contextlib
import pkgutil
import runpy
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from optuna.distributions import BaseDistribution, distribution_to_json

import search_spaces
from search_spaces.values import fitted, misfits, plain_distribution


class SearchSpaceError(ValueError):
    """A search space that cannot be used; the message is one line."""


@dataclass(frozen=True)
class SearchSpace:
    """Ranges of hyperparameters, and the configuration that all results are compared with.

    Attributes:
        parameters: range of each hyperparameter, by its name in the training configuration.
        baseline: values of the parameters in the first trial of every search.
        only_if: for a parameter that only some values of others give a meaning: these values, by the other parameter's
            name, which comes before it. `{"step_epochs": {"schedule": ["step"]}}` leaves `step_epochs` out of a trial
            whose `schedule` is not `step`; it then has the baseline's value.

    Raises:
        SearchSpaceError: if the baseline has not exactly these parameters, or a value outside its range, or if a
            condition names a parameter that does not come before, or a value that it does not have.
    """

    parameters: Mapping[str, BaseDistribution]
    baseline: Mapping[str, float | int | str]
    only_if: Mapping[str, Mapping[str, Sequence[float | int | str]]] = field(default_factory=dict)

    def has_meaning(self, name: str, drawn: Mapping[str, Any]) -> bool:
        """Whether a parameter has a meaning beside the values that the parameters before it were given."""
        conditions = self.only_if.get(name, {})
        return all(other in drawn and drawn[other] in values for other, values in conditions.items())

    def only(self, names: Collection[str]) -> Self:
        """Returns the space of the named parameters only."""
        return replace(
            self,
            parameters={name: value for name, value in self.parameters.items() if name in names},
            baseline={name: value for name, value in self.baseline.items() if name in names},
            only_if={
                name: kept
                for name, conditions in self.only_if.items()
                if name in names and (kept := {key: value for key, value in conditions.items() if key in names})
            },
        )

    def describe(self) -> dict[str, str]:
        """Each parameter's range, in Optuna's JSON."""
        return {name: distribution_to_json(distribution) for name, distribution in self.parameters.items()}

    def __post_init__(self) -> None:
        ranges = {name: plain_distribution(distribution) for name, distribution in self.parameters.items()}
        object.__setattr__(self, "parameters", ranges)
        problems = self._not_in_json()
        if set(self.parameters) != set(self.baseline):
            problems.append(
                f"baseline must name the space's parameters {', '.join(self.parameters)}, "
                f"but names {', '.join(self.baseline)}"
            )
        outside = misfits(self.parameters, self.baseline)
        if outside:
            problems.append(f"baseline must lie inside the space, but has {'; '.join(outside)}")
        problems += self._wrong_conditions()
        if problems:
            raise SearchSpaceError("; ".join(problems))
        object.__setattr__(self, "baseline", fitted(self.parameters, self.baseline))

    def _not_in_json(self) -> list[str]:
        """Ranges that a run folder cannot hold: Optuna takes objects of any kind for choices and for `log`."""
        found = []
        for name, distribution in self.parameters.items():
            try:
                distribution_to_json(distribution)
            except (TypeError, ValueError):
                found.append(f"{name} is {distribution}, accepted: numbers, texts, True, False and None in a range")
        return found

    def _wrong_conditions(self) -> list[str]:
        order, found = list(self.parameters), []
        for name, conditions in self.only_if.items():
            before = order[: order.index(name)] if name in order else []
            for other, values in conditions.items():
                if other not in before:
                    found.append(
                        f"only_if of {name} names {other}, accepted: a parameter before it: {', '.join(before)}"
                    )
                else:
                    outside = [
                        text for value in values for text in misfits({other: self.parameters[other]}, {other: value})
                    ]
                    found += [f"only_if of {name} has {text}" for text in outside]
        return found


def names() -> list[str]:
    """Names of the search spaces of this project."""
    modules = (module.name for module in pkgutil.iter_modules(search_spaces.__path__))
    return [name for name in modules if name not in ("space", "values")]


def load(name: str) -> SearchSpace:
    """Loads the search space called `name`, or the `SPACE` of the Python file at that path.

    Raises:
        SearchSpaceError: if there is none of that name, or the file is not a search space.
    """
    if name.endswith(".py"):
        return _load_file(Path(name))
    if name not in names():
        raise SearchSpaceError(
            f"unknown search space {name!r}; accepted: {', '.join(names())}, or the path of a Python file"
        )
    space: SearchSpace = import_module(f"search_spaces.{name}").SPACE
    return space


def _line(error: BaseException, path: Path) -> int | None:
    """The line of a file at which an error was raised."""
    if isinstance(error, SyntaxError):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Has Python find the modules in a file's folder, as it does when the file is run; forgets them at the end."""
    folder = str(path.absolute().parent)
    known = set(sys.modules)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - known:
            if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == Path(folder):
                del sys.modules[name]


def _load_file(path: Path) -> SearchSpace:
    if not path.is_file():
        raise SearchSpaceError(f"search space {path} does not exist")
    try:
        with _beside(path):
            space = runpy.run_path(str(path)).get("SPACE")
    except SearchSpaceError as error:
        raise SearchSpaceError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise SearchSpaceError(f"{path} cannot be run: {error!r} ({path}, line {_line(error, path)})") from error
    if not isinstance(space, SearchSpace):
        raise SearchSpaceError(f"{path} must set SPACE to a search_spaces.SearchSpace, but it is {space!r}")
    return space
