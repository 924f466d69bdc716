"""Spaces that can be counted: which values their parameters take, and how many configurations that makes."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


def size(distribution: BaseDistribution) -> int | None:
    """How many values a parameter can take; None if there is no end of them."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return None
    if distribution.single():
        return 1
    if distribution.step is None:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1


def values_of(distribution: BaseDistribution) -> Sequence[Any]:
    """All values of a parameter that has a `size`, as Optuna gives them to trials."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, FloatDistribution | IntDistribution):
        step = distribution.step or 0
        values = (distribution.low + place * step for place in range(size(distribution) or 0))
        return [min(max(tidy(value), distribution.low), distribution.high) for value in values]
    return []


def tidy(value: Any) -> Any:  # noqa: ANN401 - a parameter's value is a number or a word
    """A value without what rounding did to it: 0.1 + 0.2 is 0.3."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def configurations(distributions: Iterable[BaseDistribution]) -> int | None:
    """How many configurations a space has; None if there is no end of them."""
    sizes = [size(distribution) for distribution in distributions]
    return None if None in sizes else prod(count for count in sizes if count is not None)
