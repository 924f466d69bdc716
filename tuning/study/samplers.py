"""Samplers: which configuration to try next. Optuna's samplers are used, a new one for each trial.

A sampler that lives as long as the search has a random state, which is lost when the search is interrupted. What a new
sampler draws follows from its seed and the trials before, so that a resumed search draws what it would have drawn.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler

from san_core.errors import InputError
from tuning.study.configurations import count_configurations, count_values
from tuning.study.repeatable_samplers import GPSampler, GridSampler, QMCSampler, RandomSampler, TPESampler
from tuning.study.seeds import SAMPLER_SEEDS, derive_seed

SAMPLERS = ("auto", "tpe", "gp", "cmaes", "qmc", "random", "grid")

GP_TRIALS = 250
"""Up to so many trials a Gaussian process chooses better than CMA-ES (Optuna's rule of thumb)."""

LARGEST_GRID = 100_000
"""Configurations of the largest space that a grid may have."""


def sampler_name(
    wanted: str, parameters: Mapping[str, BaseDistribution], *, pruning: bool, number: int, cohort: int = 1
) -> str:
    """The name of the sampler for the trial of a number; `wanted` itself unless it is `auto`.

    `auto` follows Optuna's rule of thumb: TPE for spaces with categorical parameters, else a Gaussian process for the
    first trials and CMA-ES after them. The latter two learn from complete trials only. If a pruner stops most trials
    early, that is too few, so `auto` is TPE then, which learns from pruned trials too. A Gaussian process takes
    half a second and more for each trial, and a cohort waits for all of its members, so there `auto` is TPE instead.
    """
    if wanted != "auto":
        return wanted
    categorical = any(isinstance(distribution, CategoricalDistribution) for distribution in parameters.values())
    if pruning or categorical:
        return "tpe"
    if number >= GP_TRIALS:
        return "cmaes"
    return "gp" if cohort == 1 else "tpe"


def make_sampler(
    name: str,
    seed: int,
    number: int,
    parameters: Mapping[str, BaseDistribution],
    *,
    cohort: int = 1,
    conditional: bool = False,
) -> BaseSampler:
    """A new sampler for one trial.

    Trials that are asked for in a row, before any of them has ended, get different points.

    Args:
        name: one of `SAMPLERS`, but not `auto`.
        seed: of the study.
        number: of the trial.
        parameters: the search space.
        cohort: trials that are asked for in a row. A generation of CMA-ES has at least as many, since it learns from
            no more of them.
        conditional: whether some trials lack some of the parameters.
    """
    return _SAMPLERS[name](_Draw(seed, number, parameters, cohort, conditional))


class _Draw(NamedTuple):
    """What a sampler is made for; see `make_sampler`."""

    study_seed: int
    number: int
    parameters: Mapping[str, BaseDistribution]
    cohort: int
    conditional: bool

    @property
    def seed(self) -> int:
        """The trial's own."""
        return derive_seed(self.study_seed, SAMPLER_SEEDS, self.number)


def _cmaes(draw: _Draw) -> BaseSampler:
    """Optuna's sampler adds the trial's number to what it draws from its seed, which all trials share here.

    So the trials of a generation have different seeds. A seed of its own for each would sometimes give two the same.
    """
    default = 4 + int(3 * math.log(len(draw.parameters)))  # of the package cmaes
    return optuna.samplers.CmaEsSampler(
        seed=derive_seed(draw.study_seed, SAMPLER_SEEDS, 0),
        independent_sampler=RandomSampler(draw.seed),
        popsize=max(draw.cohort, default),
    )


_SAMPLERS: dict[str, Callable[[_Draw], BaseSampler]] = {
    "tpe": lambda draw: TPESampler(draw.seed, conditional=draw.conditional),
    "gp": lambda draw: GPSampler(draw.seed),
    "cmaes": _cmaes,
    "qmc": lambda draw: QMCSampler(draw.study_seed, draw.parameters),
    "random": lambda draw: RandomSampler(draw.seed),
    "grid": lambda draw: GridSampler(draw.seed),
}


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
