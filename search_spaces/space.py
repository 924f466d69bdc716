"""A search space, and finding one by name."""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from optuna.distributions import BaseDistribution, distribution_to_json

import search_spaces


class SearchSpaceError(ValueError):
    """A search space cannot be used; the message is one line."""


@dataclass(frozen=True)
class SearchSpace:
    """Ranges of hyperparameters, and the configuration every result is compared with.

    Attributes:
        parameters: range of each hyperparameter, named as in the training configuration.
        baseline: the value of each in the first trial of every search.

    Raises:
        SearchSpaceError: if the baseline lacks a parameter, has one too many, or leaves a range.
    """

    parameters: Mapping[str, BaseDistribution]
    baseline: Mapping[str, float | int | str]

    def describe(self) -> dict[str, str]:
        """Each parameter's range, in Optuna's JSON."""
        return {name: distribution_to_json(distribution) for name, distribution in self.parameters.items()}

    def __post_init__(self) -> None:
        if set(self.parameters) != set(self.baseline):
            raise SearchSpaceError(
                f"baseline must name the space's parameters {', '.join(self.parameters)}, "
                f"but names {', '.join(self.baseline)}"
            )
        outside = [
            f"{name}={self.baseline[name]} outside {distribution}"
            for name, distribution in self.parameters.items()
            if not _inside(distribution, self.baseline[name])
        ]
        if outside:
            raise SearchSpaceError(f"baseline must lie inside the space, but has {'; '.join(outside)}")


def _inside(distribution: BaseDistribution, value: float | str) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # not among the choices of a categorical
        return False


def names() -> list[str]:
    """The spaces that ship with the project."""
    modules = (module.name for module in pkgutil.iter_modules(search_spaces.__path__))
    return [name for name in modules if name != "space"]


def load(name: str) -> SearchSpace:
    """The space called `name`.

    Raises:
        SearchSpaceError: if there is none; the message lists those there are.
    """
    if name not in names():
        raise SearchSpaceError(f"unknown search space {name!r}; accepted: {', '.join(names())}")
    space: SearchSpace = import_module(f"search_spaces.{name}").SPACE
    return space
