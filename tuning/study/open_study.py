"""Opens the studies of a run's journal, new or to go on with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.run_folder import BASELINE, CONFIRMATION, CONFIRMS, PRIOR, SEARCH, SEED, RunFolder, is_own
from search_spaces import SearchSpace
from tuning.study.pruners import PRUNERS
from tuning.study.samplers import make_sampler, sampler_name
from tuning.study.stop_rules import StopRules
from tuning.study.study import Draws, Study

SEARCH_SEEDS, CONFIRMATION_SEEDS, RETRAINING_SEEDS, SAMPLER_SEEDS = range(4)
"""Which series of seeds, so that no two uses share one."""

_FILLED = "filled"
"""Study attribute: what was to be tried beforehand is in the journal."""


def training_seed(study_seed: int, series: int, number: int) -> int:
    """The seed of one training run; it follows from the study's seed and the run's number alone."""
    return int(np.random.SeedSequence([study_seed, series, number]).generate_state(1)[0])


def open_search(
    run: RunFolder,
    space: SearchSpace,
    rules: StopRules,
    *,
    beforehand: Callable[[], Sequence[FrozenTrial]] = list,
) -> Study:
    """The search in the run's journal, new or to go on with.

    Args:
        run: says sampler, pruner, seed and length of a trial.
        space: what is searched.
        rules: when it is over.
        beforehand: gives the trials that go into a new journal first, see `first_trials` and `copied_trials`.
    """
    seed, epochs = run.setting("seed"), run.setting("fixed")["epochs"]
    study = _open(run, SEARCH, PRUNERS[run.setting("pruner")](epochs))
    if not study.user_attrs.get(_FILLED):
        for trial in beforehand()[len(study.get_trials(deepcopy=False)) :]:
            study.add_trial(trial)
        study.set_user_attr(_FILLED, True)
    pruning = run.setting("pruner") != "none"

    def sampler_of(number: int) -> optuna.samplers.BaseSampler:
        name = sampler_name(run_sampler, space.parameters, pruning=pruning, number=number)
        return make_sampler(name, space.parameters, training_seed(seed, SAMPLER_SEEDS, number))

    run_sampler = run.setting("sampler")
    draws = Draws(space.parameters, lambda trial: training_seed(seed, SEARCH_SEEDS, trial.number), sampler_of)
    return Study(study, draws, rules=rules, epochs=epochs)


def first_trials(baseline: Mapping[str, Any] | None, configurations: Iterable[Mapping[str, Any]]) -> list[FrozenTrial]:
    """Trials to be run first: the baseline, unless it is left out, and whatever the user wants tried.

    The baseline is not stopped early unless the time is up: every comparison needs its full score.
    """
    waiting = [_waiting(baseline, {BASELINE: True})] if baseline is not None else []
    return waiting + [_waiting(configuration, {}) for configuration in configurations]


def copied_trials(study: optuna.Study, name: str, parameters: Mapping[str, BaseDistribution]) -> list[FrozenTrial]:
    """What an earlier search found, for the sampler of another to learn from: its complete and pruned trials.

    Args:
        study: the earlier search.
        name: of its run, noted in each trial.
        parameters: ranges of the space, the same as the earlier search's.
    """
    return [
        create_trial(
            state=trial.state,
            value=trial.value,
            params=trial.params,
            distributions=dict(parameters),
            user_attrs={**trial.user_attrs, PRIOR: name},
            system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if is_own(trial) and set(trial.params) == set(parameters)
    ]


def open_confirmation(run: RunFolder, space: SearchSpace, trials: Sequence[int], seeds: int) -> Study:
    """A study that repeats trials of the search under fresh seeds, to the end.

    The best of many trials is partly luck; fresh seeds, the same for all, show how much. What was repeated before
    is not repeated again.

    Args:
        run: whose search is repeated.
        space: what it searched.
        trials: numbers of the search's trials.
        seeds: how many fresh seeds each is to have in the end.
    """
    seed, search = run.setting("seed"), run.study()
    study = _open(run, CONFIRMATION, optuna.pruners.NopPruner())
    found = study.get_trials(deepcopy=False)
    planned = {(trial.user_attrs[CONFIRMS], trial.user_attrs[SEED]) for trial in found}
    for repeat in range(seeds):
        for number in dict.fromkeys(trials):
            attributes: dict[str, Any] = {CONFIRMS: number, SEED: training_seed(seed, CONFIRMATION_SEEDS, repeat)}
            if number == run.baseline_trial:
                attributes[BASELINE] = True
            if (number, attributes[SEED]) not in planned:
                study.add_trial(_waiting(search.trials[number].params, attributes))
    draws = Draws(
        space.parameters,
        seed_of=lambda trial: int(trial.user_attrs[SEED]),
        sampler_of=lambda _: RandomSampler(seed=0),  # every parameter is given
        unique=False,
    )
    rules = StopRules(trials=len(study.get_trials(deepcopy=False)))
    return Study(study, draws, rules=rules, epochs=run.setting("fixed")["epochs"])


def _waiting(params: Mapping[str, Any], attributes: Mapping[str, Any]) -> FrozenTrial:
    """A trial to be run later, as `optuna.Study.enqueue_trial` makes it."""
    return create_trial(
        state=TrialState.WAITING, system_attrs={"fixed_params": dict(params)}, user_attrs=dict(attributes)
    )


def _open(run: RunFolder, name: str, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name, storage=run.storage(), direction="maximize", pruner=pruner, load_if_exists=True
    )
