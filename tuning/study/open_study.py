"""Opens a study in the journal of a run, whether it is new or resumed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from results.jobs import describe_trials
from results.journal import warnings_only
from results.race import Run
from results.run_folder import (
    CONFIRMATION,
    CONFIRMS,
    FIRST_TRIALS_ADDED,
    IS_BASELINE,
    REPEATS,
    SEARCH,
    SEED,
    RunFolder,
)
from san_core.command_line import print_message
from san_core.config import without_effect
from search_spaces import SearchSpace
from tuning.study.failures import trials_to_repeat
from tuning.study.first_trials import waiting_trial
from tuning.study.lengths import Lengths
from tuning.study.pruners import PRUNERS
from tuning.study.samplers import make_sampler, sampler_name
from tuning.study.seeds import CONFIRMATION_SEEDS, SEARCH_SEEDS, derive_seed
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study
from tuning.study.trial_source import TrialSource


def open_search(
    run: RunFolder,
    space: SearchSpace,
    rules: StopRules,
    *,
    first_trials: Callable[[], Sequence[FrozenTrial]] | None = None,
) -> Study:
    """Opens the study of a search. Trials that have failed are planned to be run again, as new trials.

    Args:
        run: run folder; its settings have the sampler, pruner, seed and number of epochs.
        space: search space.
        rules: rules that end the search.
        first_trials: function that returns the first trials of a new journal, see `tuning.study.first_trials`; called
            only if the journal does not have them yet.
    """
    seed, sampler, lengths = run.setting("seed"), run.setting("sampler"), _lengths(run)
    study = _open(run, SEARCH, PRUNERS[run.setting("pruner")](lengths))
    if not study.user_attrs.get(FIRST_TRIALS_ADDED):
        for trial in (first_trials() if first_trials else [])[len(study.get_trials(deepcopy=False)) :]:
            study.add_trial(trial)
        study.set_user_attr(FIRST_TRIALS_ADDED, True)
    if again := trials_to_repeat(study.get_trials(deepcopy=False)):
        study.add_trials(again)
        print_message(f"run again, because they failed: {describe_trials([t.user_attrs[REPEATS] for t in again])}")
    pruning, cohort = run.setting("pruner") != "none", run.settings.get("cohort", 1)

    def sampler_of(number: int, at_random: bool) -> BaseSampler:
        name = sampler_name(sampler, space.parameters, pruning=pruning, number=number, cohort=cohort)
        name = "random" if at_random else name
        conditional = bool(space.only_if)
        return make_sampler(name, seed, number, space.parameters, cohort=cohort, conditional=conditional)

    def seed_of(trial: FrozenTrial | optuna.Trial) -> int:
        return int(trial.user_attrs.get(SEED, derive_seed(seed, SEARCH_SEEDS, trial.number)))

    fixed = run.setting("fixed")
    source = TrialSource(
        space.parameters, seed_of, sampler_of, space.has_meaning, lambda params: without_effect({**fixed, **params})
    )
    return Study(study, source, rules=rules, lengths=lengths, clock=run.clock)


def open_confirmation(run: RunFolder, space: SearchSpace, trials: Sequence[int], seeds: int) -> Study:
    """Opens a study that repeats trials of the search with all their epochs under fresh seeds.

    The best of many trials is partly luck. Fresh seeds, the same for all, show how much. Repeats that are in the
    journal already are not planned again, unless they have failed.

    Args:
        run: whose search is repeated.
        space: search space of the search.
        trials: numbers of the search's trials.
        seeds: number of fresh seeds that each trial is to have in the end.
    """
    return open_fresh_runs(run, space, [(number, each) for each in range(seeds) for number in dict.fromkeys(trials)])


def open_fresh_runs(run: RunFolder, space: SearchSpace, runs: Iterable[Run]) -> Study:
    """Opens the study of `open_confirmation` for single runs.

    Args:
        run: whose search is repeated.
        space: search space of the search.
        runs: the trial that each run repeats, and the number of its fresh seed. Numbers that are new to the journal
            must come in order, because it tells rounds apart by the order of their seeds.
    """
    seed, search = run.setting("seed"), run.study()
    study = _open(run, CONFIRMATION, optuna.pruners.NopPruner())
    found = study.get_trials(deepcopy=False)
    planned = {
        (trial.user_attrs[CONFIRMS], trial.user_attrs[SEED]) for trial in found if trial.state != TrialState.FAIL
    }
    baseline = run.baseline_number
    for number, each in runs:
        attributes: dict[str, Any] = {CONFIRMS: number, SEED: derive_seed(seed, CONFIRMATION_SEEDS, each)}
        if number == baseline:
            attributes[IS_BASELINE] = True
        if (number, attributes[SEED]) not in planned:
            study.add_trial(waiting_trial(search.trials[number].params, attributes))
    source = TrialSource(
        space.parameters,
        seed_of=lambda trial: int(trial.user_attrs[SEED]),
        sampler_of=lambda _, __: RandomSampler(
            seed=0
        ),  # it has nothing to sample: every trial waits with its parameters
        has_meaning=space.has_meaning,
        unique=False,
        own_order=True,
    )
    rules = StopRules(trials=len(study.get_trials(deepcopy=False)))
    return Study(study, source, rules=rules, lengths=_lengths(run), clock=run.clock)


def _lengths(run: RunFolder) -> Lengths:
    """How long the trials of a run are; those of earlier versions have no folds."""
    return Lengths(run.setting("fixed")["epochs"], run.settings.get("folds", 1), run.settings.get("first_rung", 1))


def _open(run: RunFolder, name: str, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    with warnings_only(), run.explain_damage():
        return optuna.create_study(
            study_name=name, storage=run.storage(), direction="maximize", pruner=pruner, load_if_exists=True
        )
