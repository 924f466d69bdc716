"""Samplers whose draws follow from a seed, the trial's number and the parameter's name.

Optuna's samplers draw one parameter after the other from one random state. So a trial that was interrupted between two
parameters would get others when it is resumed. Here each parameter has a seed of its own.
"""

import heapq
import json
import math
import warnings
from collections.abc import Container, Iterable, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState
from torch.quasirandom import SobolEngine

_GP_DRAWN = "gp:relative_params:"
"""Before the number of each part of what Optuna's Gaussian process sampler has drawn for a trial."""


def _parameter_seed(seed: int, name: str) -> int:
    """The seed of a parameter; it follows from the sampler's seed and the parameter's name."""
    return int(np.random.SeedSequence([seed, *name.encode()]).generate_state(1)[0])


class RandomSampler(optuna.samplers.RandomSampler):
    """Draws at random, each parameter with a seed of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed = seed

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:  # noqa: ANN401 - a parameter's value is a number or a string
        """Draws a value."""
        sampler = optuna.samplers.RandomSampler(seed=_parameter_seed(self._seed, param_name))
        return sampler.sample_independent(study, trial, param_name, param_distribution)


MOST_TRIALS = 1000
"""Most ended trials that `TPESampler` looks at, so that a draw takes the same time in a long search."""

BEST_TRIALS = 25
"""The best trials that are always among them: Optuna's sampler takes at most so many for good ones."""


class _FewerTrials:
    """A study as the sampler sees it that is to look at fewer trials: those that run, the best, and the latest.

    Optuna weights trials the less the older they are, so those that are left out had the least influence.

    Args:
        study: the study.
        trials: all its trials, by number.
    """

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        self._study = study
        ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        scored = (trial for trial in ended if trial.state == TrialState.COMPLETE and trial.value is not None)
        best = heapq.nlargest(BEST_TRIALS, scored, key=lambda trial: (cast("float", trial.value), -trial.number))
        kept = {trial.number: trial for trial in (*best, *ended[-(MOST_TRIALS - BEST_TRIALS) :])}
        kept |= {trial.number: trial for trial in trials if trial.state == TrialState.RUNNING}
        self._kept = [kept[number] for number in sorted(kept)]

    def _get_trials(
        self, deepcopy: bool, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        """As Optuna's samplers ask a study."""
        del deepcopy, use_cache
        return [trial for trial in self._kept if states is None or trial.state in states]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the study has
        return getattr(self._study, name)


def _fewer_trials(study: optuna.Study) -> optuna.Study:
    """The study, or if it has many trials, one with the most important of them."""
    trials = study.get_trials(deepcopy=False)
    return study if len(trials) <= MOST_TRIALS else cast("optuna.Study", _FewerTrials(study, trials))


class TPESampler(optuna.samplers.TPESampler):
    """Optuna's sampler, whose first trials are drawn by `RandomSampler`.

    It learns from the best trials and the latest ones, `MOST_TRIALS` in all, and from those that run. It draws all
    parameters of a trial jointly. Trials that run count as bad ones, so that trials that are asked for in a row, before
    any of them has ended, differ (constant liar). Both are Optuna's defaults from version 5 on.

    Args:
        seed: of the trial.
        conditional: whether some trials lack some parameters. Those that trials share are then drawn jointly.
    """

    def __init__(self, seed: int, *, conditional: bool = False) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(seed=seed, multivariate=True, constant_liar=True, group=conditional)
        self._first_trials = RandomSampler(seed)
        self._seen: optuna.Study | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are drawn jointly."""
        self._seen = _fewer_trials(study)
        return super().infer_relative_search_space(self._seen, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws them. Optuna calls it after `infer_relative_search_space`."""
        return super().sample_relative(self._seen or study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:  # noqa: ANN401 - as above
        """Draws a value of one of the first trials."""
        return self._first_trials.sample_independent(study, trial, param_name, param_distribution)


class GPSampler(optuna.samplers.GPSampler):
    """Optuna's sampler, whose first trials are drawn by `RandomSampler`.

    It takes trials that run into account, so that trials that are asked for in a row differ.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, independent_sampler=RandomSampler(seed))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """All parameters of a trial; if it was interrupted after they had been drawn, those.

        Optuna's sampler notes what it draws in the journal, and would take an interrupted trial for its own neighbour.
        """
        notes = sorted(key for key in trial.system_attrs if key.startswith(_GP_DRAWN))
        if notes:
            drawn: dict[str, Any] = json.loads("".join(trial.system_attrs[key] for key in notes))
            return drawn
        return super().sample_relative(study, trial, search_space)


class GridSampler(optuna.samplers.BruteForceSampler):
    """Draws among the configurations of a discrete space that no trial has yet, in an order that follows the seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(seed=seed)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:  # noqa: ANN401 - as above
        """Draws a value with which a configuration is left that no trial has."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = optuna.samplers.BruteForceSampler(seed=_parameter_seed(self._seed, param_name))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Does nothing. Optuna's sampler would call `study.stop()`, which is an error outside `study.optimize()`."""


class QMCSampler(RandomSampler):
    """Gives each trial the point of a scrambled Sobol sequence that has the trial's number.

    The points of a sequence fill the space more evenly than random ones, W points in a row with W = 2, 4, 8, ... above
    all. Optuna's sampler of this name counts its points in the storage instead, and counts one that was interrupted
    twice.

    Args:
        seed: of the sequence, the same for all trials.
        names: of all parameters; each is a dimension.
    """

    def __init__(self, seed: int, names: Iterable[str]) -> None:
        super().__init__(seed)
        self._names = sorted(names)

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - as above
        """The value at the trial's point."""
        point = _sobol_point(len(self._names), self._seed, trial.number)
        return value_at(param_distribution, point[self._names.index(param_name)])


@lru_cache(maxsize=1)
def _sobol_point(dimensions: int, seed: int, number: int) -> Sequence[float]:
    """The point with this number of a scrambled Sobol sequence, each coordinate in [0, 1)."""
    engine = SobolEngine(dimensions, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    if number:
        engine.fast_forward(number)  # type: ignore[no-untyped-call]
    below_1 = math.nextafter(1.0, 0.0)
    return [min(float(place), below_1) for place in engine.draw(1, dtype=torch.float64)[0]]


def value_at(distribution: BaseDistribution, place: float) -> Any:  # noqa: ANN401 - as above
    """The value of a parameter at a place in [0, 1) of its range; values are as likely as with `RandomSampler`.

    Raises:
        TypeError: for a distribution that is not one of Optuna's three.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(place * len(distribution.choices))]
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"a distribution must be a float, int or categorical one, but got {distribution}")
    low, high, step = distribution.low, distribution.high, distribution.step
    whole = isinstance(distribution, IntDistribution)
    if distribution.log:
        margin = 0.5 if whole else 0.0
        found = math.exp(math.log(low - margin) + place * (math.log(high + margin) - math.log(low - margin)))
        return min(max(round(found) if whole else found, low), high)
    if step is None:
        return low + place * (high - low)
    return min(low + step * int(place * (round((high - low) / step) + 1)), high)
