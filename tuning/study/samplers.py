"""Samplers: which configuration to try next. Optuna's samplers are used, a new one for each trial.

A sampler that lives as long as the search has a random state, which is lost when the search is interrupted. What a new
sampler draws follows from its seed and the trials before, so that a resumed search draws what it would have drawn.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from san_core.errors import InputError
from tuning.study.configurations import count_configurations, count_values

SAMPLERS = ("auto", "tpe", "gp", "cmaes", "random", "grid")

GP_TRIALS = 250
"""Up to so many trials a Gaussian process chooses better than CMA-ES (Optuna's rule of thumb)."""

LARGEST_GRID = 100_000
"""Configurations of the largest space that a grid may have."""


def sampler_name(wanted: str, parameters: Mapping[str, BaseDistribution], *, pruning: bool, number: int) -> str:
    """The name of the sampler for the trial of a number; `wanted` itself unless it is `auto`.

    `auto` follows Optuna's rule of thumb: TPE for spaces with categorical parameters, else a Gaussian process for the
    first trials and CMA-ES after them. The latter two learn from complete trials only. If a pruner stops most trials
    early, that is too few, so `auto` is TPE then, which learns from pruned trials too.
    """
    if wanted != "auto":
        return wanted
    categorical = any(isinstance(distribution, CategoricalDistribution) for distribution in parameters.values())
    if pruning or categorical:
        return "tpe"
    return "gp" if number < GP_TRIALS else "cmaes"


class GridSampler(optuna.samplers.BruteForceSampler):
    """Draws among the configurations of a discrete space that no trial has yet, in an order that follows the seed."""

    def __init__(self, seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(seed=seed)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Does nothing. Optuna's sampler would call `study.stop()`, which is an error outside `study.optimize()`."""


_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "grid": GridSampler,
}


def make_sampler(name: str, seed: int) -> BaseSampler:
    """A new sampler; `name` is one of `SAMPLERS`, but not `auto`."""
    return _SAMPLERS[name](seed)


def check_sampler(name: str, parameters: Mapping[str, BaseDistribution]) -> None:
    """Checks that a sampler can sample the space.

    Raises:
        InputError: if the sampler cannot sample a parameter, or the grid is too large; the message names the parameters
            or the size.
    """
    unfit = {
        "cmaes": lambda distribution: isinstance(distribution, CategoricalDistribution),
        "grid": lambda distribution: count_values(distribution) is None,
    }
    reasons = {"cmaes": "a number", "grid": "a choice or a number with a step"}
    if name in unfit and (found := [key for key, value in parameters.items() if unfit[name](value)]):
        raise InputError(
            f"--sampler {name} needs every parameter to be {reasons[name]}, which {', '.join(found)} is not; "
            f"accepted here: {', '.join(other for other in SAMPLERS if other != name)}"
        )
    if name == "grid" and (count := count_configurations(parameters.values()) or 0) > LARGEST_GRID:
        raise InputError(
            f"--sampler grid needs a space of <= {LARGEST_GRID:,} configurations, but this one has {count:,}"
        )
