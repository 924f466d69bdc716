"""Where a study's trials come from: their parameters and their seeds."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class TrialSource:
    """Makes a study's trials.

    Attributes:
        parameters: the distribution of each parameter.
        seed_of: function that returns a trial's training seed.
        sampler_of: function from a trial's number, and whether it is to be drawn at random, to its sampler. What the
            sampler draws must depend only on that number and on the trials before, so that a resumed search draws the
            same.
        has_meaning: function that says whether a trial has a parameter, from its name and the values of the parameters
            before it.
        without_effect: function from a trial's parameters to those that the others make meaningless.
        unique: whether a configuration that was tried before is rejected; one that differs only in parameters without
            effect counts as the same.
        own_order: whether the order of a trial's batches and its dropout follow from its own seed; if not they follow
            from the study's, so that all trials are compared on the same batches.
    """

    parameters: Mapping[str, BaseDistribution]
    seed_of: Callable[[FrozenTrial | optuna.Trial], int]
    sampler_of: Callable[[int, bool], BaseSampler]
    has_meaning: Callable[[str, Mapping[str, Any]], bool] = lambda *_: True
    without_effect: Callable[[Mapping[str, Any]], Collection[str]] = lambda _: ()
    unique: bool = True
    own_order: bool = False

    def new_trial(self, study: optuna.Study, number: int, *, at_random: bool) -> optuna.Trial:
        """The study's next trial: the first that waits in the journal, or else one that is sampled.

        Args:
            study: Optuna's study, in which the trial is made.
            number: the number that the trial will have.
            at_random: whether to draw the parameters at random, because the sampler repeated a configuration.
        """
        study.sampler = self.sampler_of(number, at_random)
        return self._draw(study.ask())

    def restored_trial(self, study: optuna.Study, interrupted: FrozenTrial, *, at_random: bool) -> optuna.Trial:
        """The interrupted trial, ready to report again. Parameters that it had not been given yet are sampled now."""
        study.sampler = self.sampler_of(interrupted.number, at_random)
        return self._draw(optuna.Trial(study, interrupted._trial_id))

    def _draw(self, trial: optuna.Trial) -> optuna.Trial:
        """A trial with its parameters, each of which has a meaning beside those before it."""
        for name, distribution in self.parameters.items():
            if self.has_meaning(name, trial.params):
                trial._suggest(name, distribution)  # as `optuna.Study.ask` does for all of them
        return trial
