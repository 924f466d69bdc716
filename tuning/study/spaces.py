"""Search spaces held against the training settings, before anything is computed."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from san_core.config import TrainingConfig
from san_core.errors import InputError
from search_spaces import SearchSpace, SearchSpaceError, load

NOT_SEARCHED = ("epochs", "seed")
"""Training settings that no space may hold: the search gives them itself."""


def load_space(name: str) -> SearchSpace:
    """The space called `name`, or in the Python file of that path, if it can be trained all over.

    Raises:
        InputError: naming every parameter that is no training setting, and every end of a range that none may have.
    """
    try:
        space = load(name)
    except SearchSpaceError as error:
        raise InputError(str(error)) from error
    if problems := list(_problems(space.parameters)):
        raise InputError(f"search space {name!r} cannot be trained: {'; '.join(problems)}")
    return space


def _problems(parameters: Mapping[str, BaseDistribution]) -> Iterator[str]:
    searchable = [field for field in TrainingConfig.field_names() if field not in NOT_SEARCHED]
    for name in parameters.keys() - set(searchable):
        yield f"it searches {name}, accepted: {', '.join(searchable)}"
    yield from dict.fromkeys(_refusals({name: parameters[name] for name in parameters if name in searchable}))


def _refusals(parameters: Mapping[str, BaseDistribution]) -> Iterator[str]:
    """What training says to the ends of the ranges, each with each, since some go together only within bounds."""
    ends = [(name, value) for name, distribution in parameters.items() for value in _extremes(distribution)]
    for pair in combinations_with_replacement(ends, 2):
        try:
            TrainingConfig.from_dict(dict(pair))
        except InputError as error:
            yield from str(error).split("; ")


def _extremes(distribution: BaseDistribution) -> Iterable[Any]:
    """Values such that if they are allowed, all are."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return (distribution.low, distribution.high)
    return ()
