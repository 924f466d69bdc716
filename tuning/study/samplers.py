"""What to try next: Optuna's samplers, one made anew for each trial.

A sampler that lives as long as the search draws from a state that an interruption loses. One made for each trial
draws from its seed and the trials before, so that a resumed search asks for what it would have asked for.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from san_core.errors import InputError
from tuning.study.discrete import configurations, size, tidy, values_of

SAMPLERS = ("auto", "tpe", "gp", "cmaes", "random", "grid")

GP_TRIALS = 250
"""Up to so many trials a Gaussian process chooses better than CMA-ES (Optuna's rule of thumb)."""

LARGEST_GRID = 100_000
"""Configurations of a space that are looked through for each trial."""

_MAKE: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}


def sampler_name(wanted: str, parameters: Mapping[str, BaseDistribution], *, pruning: bool, number: int) -> str:
    """The sampler that chooses the trial of a number.

    `auto` follows Optuna's rule of thumb: TPE for spaces with categorical parameters, else a Gaussian process for the
    first trials and CMA-ES after. Both learn from complete trials only; where a pruner stops most trials early
    that is too few, so TPE, which learns from stopped trials too, chooses there.
    """
    if wanted != "auto":
        return wanted
    categorical = any(isinstance(distribution, CategoricalDistribution) for distribution in parameters.values())
    if pruning or categorical:
        return "tpe"
    return "gp" if number < GP_TRIALS else "cmaes"


class Grid(RandomSampler):
    """Draws among the configurations of a discrete space that no trial has yet.

    Optuna's own grid sampler stops a loop of Optuna's when it is through, and there is none here.
    """

    def __init__(self, parameters: Mapping[str, BaseDistribution], seed: int) -> None:
        super().__init__(seed)
        self._parameters = dict(parameters)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters at once."""
        del study, trial
        return self._parameters

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """One of the configurations left; none if all were tried, so that each parameter is drawn by itself."""
        tried = {
            tuple(tidy(other.params.get(name)) for name in search_space)
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
        }
        every = product(*map(values_of, search_space.values()))
        left = [values for values in every if tuple(map(tidy, values)) not in tried]
        if not left:
            return {}
        chosen = left[int(self._rng.rng.randint(len(left)))]
        return dict(zip(search_space, chosen, strict=True))


def make_sampler(name: str, parameters: Mapping[str, BaseDistribution], seed: int) -> BaseSampler:
    """A sampler by its own name (not `auto`)."""
    return Grid(parameters, seed) if name == "grid" else _MAKE[name](seed)


def check_sampler(name: str, parameters: Mapping[str, BaseDistribution]) -> None:
    """Refuses a sampler that cannot choose in the space.

    Raises:
        InputError: naming the parameters it cannot choose.
    """
    unfit = {
        "cmaes": lambda distribution: isinstance(distribution, CategoricalDistribution),
        "grid": lambda distribution: size(distribution) is None,
    }
    reasons = {"cmaes": "a number", "grid": "a choice or a number with a step"}
    if name in unfit and (found := [key for key, value in parameters.items() if unfit[name](value)]):
        raise InputError(
            f"--sampler {name} needs every parameter to be {reasons[name]}, which {', '.join(found)} is not; "
            f"accepted here: {', '.join(other for other in SAMPLERS if other != name)}"
        )
    if name == "grid" and (count := configurations(parameters.values()) or 0) > LARGEST_GRID:
        raise InputError(
            f"--sampler grid needs a space of <= {LARGEST_GRID:,} configurations, but this one has {count:,}"
        )
