"""Loads a search space and checks that all of it can be trained, before anything is computed."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from san_core.config import TrainingConfig
from san_core.errors import InputError
from search_spaces import SearchSpace, SearchSpaceError, load

NOT_SEARCHED = ("epochs", "epochs_per_pass", "seed", "order_seed")
"""Training settings that no space may hold: the search itself sets them."""


def load_space(name: str | SearchSpace) -> SearchSpace:
    """The search space with a name, or in the Python file with that path, or one that is there already.

    Raises:
        InputError: if a parameter is no training setting, or training refuses an end of its range; the message names
            all of them.
    """
    try:
        space = load(name) if isinstance(name, str) else name
    except SearchSpaceError as error:
        raise InputError(str(error)) from error
    if problems := list(_problems(space.parameters)):
        named = repr(name) if isinstance(name, str) else "given in Python"
        raise InputError(f"search space {named} cannot be trained: {'; '.join(problems)}")
    return space


def _problems(parameters: Mapping[str, BaseDistribution]) -> Iterator[str]:
    searchable = [field for field in TrainingConfig.field_names() if field not in NOT_SEARCHED]
    for name in parameters.keys() - set(searchable):
        yield f"it searches {name}, accepted: {', '.join(searchable)}"
    yield from dict.fromkeys(_refused_values({name: parameters[name] for name in parameters if name in searchable}))


def _refused_values(parameters: Mapping[str, BaseDistribution]) -> Iterator[str]:
    """What `TrainingConfig` says to the extremes of all parameters.

    They are tried in pairs, since some settings exclude each other.
    """
    extremes = [(name, value) for name, distribution in parameters.items() for value in _extremes(distribution)]
    for pair in combinations_with_replacement(extremes, 2):
        try:
            TrainingConfig.from_dict(dict(pair))
        except InputError as error:
            yield from str(error).split("; ")


def _extremes(distribution: BaseDistribution) -> Iterable[Any]:
    """Values of a parameter; if training accepts these, it accepts all."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return (distribution.low, distribution.high)
    return ()
