"""Values of hyperparameters: which of them a range has, and the rule that another one breaks."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

_ROUNDING = 1e-9
"""Share of a value, or of a step, by which rounding may move a number: 0.1 + 0.2 is not 0.3."""


class MisfitError(ValueError):
    """A value that its range does not have; the message is the rule, without the name of the parameter."""


def plain(value: Any) -> Any:  # noqa: ANN401 - a parameter's value is a number or a text
    """A number of NumPy or PyTorch as one of Python; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def plain_distribution(distribution: BaseDistribution) -> BaseDistribution:
    """A range without numbers of NumPy, which settings.json and the journal cannot hold."""
    if isinstance(distribution, CategoricalDistribution):
        return CategoricalDistribution([plain(choice) for choice in distribution.choices])
    return distribution


def fit(distribution: BaseDistribution, value: object) -> Any:  # noqa: ANN401 - as above
    """The value of a range that another one means: rounding errors and types of NumPy make no difference.

    Raises:
        MisfitError: if the range does not have it.
        TypeError: if it is no range.
    """
    value = plain(value)
    if isinstance(distribution, CategoricalDistribution):
        return _choice(distribution, value)
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"a range must be one of Optuna's distributions, but got {distribution!r}")
    whole = isinstance(distribution, IntDistribution)
    outside = MisfitError(f"={value} outside {distribution}")
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise outside
    low, high, step = distribution.low, distribution.high, distribution.step
    if whole:
        found: float = value
    else:
        found = next((end for end in (low, high) if math.isclose(value, end, rel_tol=_ROUNDING)), value)
    if not low <= found <= high:
        raise (
            outside
            if not step or not high < found < high + step
            else MisfitError(f"={value} is more than {high}, where the steps of {step} from {low} end")
        )
    return found if step is None else _on_step(distribution, found)


def _choice(distribution: CategoricalDistribution, value: object) -> Any:  # noqa: ANN401 - as above
    for choice in distribution.choices:
        if isinstance(choice, float) and isinstance(value, float) and math.isclose(choice, value, rel_tol=_ROUNDING):
            return choice
        if choice == value and isinstance(choice, bool) == isinstance(value, bool):
            return choice
    raise MisfitError(f"={value} outside {distribution}")


def _on_step(distribution: FloatDistribution | IntDistribution, value: float) -> float:
    """The value that the steps from the lowest one reach."""
    low, step = distribution.low, distribution.step or 1
    count = round((value - low) / step)
    if abs(low + count * step - value) > _ROUNDING * step:
        raise MisfitError(f"={value} is not {low} plus a whole number of steps of {step}")
    return value


def misfits(parameters: Mapping[str, BaseDistribution], configuration: Mapping[str, object]) -> list[str]:
    """Returns one text for each value of a configuration that the range of its parameter does not have."""
    found = []
    for name, distribution in parameters.items():
        if name in configuration:
            try:
                fit(distribution, configuration[name])
            except MisfitError as error:
                found.append(f"{name}{error}")
    return found


def fitted(parameters: Mapping[str, BaseDistribution], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without misfits, with the values that the ranges have; others of its values stay."""
    return {
        name: fit(parameters[name], value) if name in parameters else plain(value)
        for name, value in configuration.items()
    }
