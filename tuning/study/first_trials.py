"""What a new search starts from: the baseline, configurations to try first, and trials of earlier searches."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.run_folder import IS_BASELINE, PRIOR, RunFolder, is_own
from san_core.errors import InputError
from san_core.files import read_bytes
from search_spaces import SearchSpace, misfits


def read_configurations(path: Path, space: SearchSpace) -> list[dict[str, Any]]:
    """Configurations to try first, from a JSON list of objects; parameters that one leaves out are sampled.

    Raises:
        InputError: if entries do not fit the space; the message names all of them.
    """
    try:
        entries = json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; accepted: a list of objects, one per configuration") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path} must hold a JSON list of objects, one per configuration, parameter: value")
    problems = []
    for number, entry in enumerate(entries, start=1):
        problems += [
            f"configuration {number}: {name} is not searched, accepted: {', '.join(space.parameters)}"
            for name in entry
            if name not in space.parameters
        ]
        problems += [f"configuration {number}: {misfit}" for misfit in misfits(space.parameters, entry)]
    if problems:
        raise InputError(f"{path} does not fit the search space: {'; '.join(problems)}")
    return entries


def read_priors(runs: Sequence[RunFolder], settings: Mapping[str, Any], space: SearchSpace) -> list[FrozenTrial]:
    """The trials of earlier searches over the same space, on the same data, by the same metric.

    Args:
        runs: the earlier searches.
        settings: settings of the search that is to learn from them.
        space: search space of that search.

    Raises:
        InputError: if the searches differ in one of these; the message names the first difference.
    """
    copied: list[FrozenTrial] = []
    for run in runs:
        for name in ("space_definition", "data_fingerprint", "metric"):
            if run.setting(name) != settings[name]:
                raise InputError(
                    f"--prior {run.path} cannot be learned from: its {name.replace('_', ' ')} is {run.setting(name)}, "
                    f"this search's {settings[name]}"
                )
        copied += copied_trials(run.study(), str(run.path), space.parameters)
    return copied


def copied_trials(study: optuna.Study, name: str, parameters: Mapping[str, BaseDistribution]) -> list[FrozenTrial]:
    """Copies of an earlier search's complete and pruned trials, for another search's sampler to learn from.

    Args:
        study: the earlier search.
        name: name of the earlier run, noted in each trial.
        parameters: distributions of the space, the same as the earlier search's.
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


def first_trials(baseline: Mapping[str, Any] | None, configurations: Iterable[Mapping[str, Any]]) -> list[FrozenTrial]:
    """Trials to run first: the baseline, unless it is None, and then the configurations.

    The baseline is marked as such. It is not pruned, since every comparison needs its full score.
    """
    waiting = [waiting_trial(baseline, {IS_BASELINE: True})] if baseline is not None else []
    return waiting + [waiting_trial(configuration, {}) for configuration in configurations]


def waiting_trial(params: Mapping[str, Any], attributes: Mapping[str, Any]) -> FrozenTrial:
    """A trial to be run later with these parameters, as `optuna.Study.enqueue_trial` makes it."""
    return create_trial(
        state=TrialState.WAITING, system_attrs={"fixed_params": dict(params)}, user_attrs=dict(attributes)
    )
