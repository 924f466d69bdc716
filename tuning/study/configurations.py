"""Configurations of a search space: how many it has, and which of them were tried."""

from collections.abc import Callable, Collection, Iterable, Mapping
from math import prod
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial


def count_values(distribution: BaseDistribution) -> int | None:
    """How many values a parameter can take; None if they cannot be counted."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return None
    if distribution.single():
        return 1
    if distribution.step is None:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1


def count_configurations(distributions: Iterable[BaseDistribution]) -> int | None:
    """How many configurations a space has; None if they cannot be counted."""
    counts = [count_values(distribution) for distribution in distributions]
    return None if None in counts else prod(count for count in counts if count is not None)


class TriedConfigurations:
    """The configurations that trials of a search have, so that none is trained twice.

    Args:
        distributions: distributions of the space's parameters.
        trials: trials whose configurations are recorded from the start.
        without_effect: function from parameters to those of them that the others make meaningless: two configurations
            that differ only in these are the same.
    """

    def __init__(
        self,
        distributions: Iterable[BaseDistribution],
        trials: Iterable[FrozenTrial],
        without_effect: Callable[[Mapping[str, Any]], Collection[str]] = lambda _: (),
    ) -> None:
        self._without_effect = without_effect
        self._count = count_configurations(distributions)
        self._first_trials: dict[tuple[tuple[str, Any], ...], int] = {}
        for trial in trials:
            self.record(trial)

    def record(self, trial: FrozenTrial | optuna.Trial) -> int:
        """Records a trial's configuration.

        Returns:
            Number of the first recorded trial that has this configuration: the trial's own if it is new.
        """
        left_out = self._without_effect(trial.params)
        configuration = tuple(
            sorted((name, round_float(value)) for name, value in trial.params.items() if name not in left_out)
        )
        return self._first_trials.setdefault(configuration, trial.number)

    def all_tried_reason(self) -> str:
        """Why no new configuration is left: all of the space were tried. Empty while one is left."""
        if self._count and len(self._first_trials) >= self._count:
            return f"all {self._count} configurations of the space tried"
        return ""


def round_float(value: Any) -> Any:  # noqa: ANN401 - a parameter's value is a number or a string
    """A parameter's value, if it is a float, without the last digits that rounding errors change: 0.1 + 0.2 is 0.3."""
    return float(f"{value:.12g}") if isinstance(value, float) else value
