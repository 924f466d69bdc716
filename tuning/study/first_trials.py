"""What a new search starts from: the baseline, configurations to try first, and trials of earlier searches."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.preparations import DATA_PARAMETER, ONLY, names_by_fingerprint, preparation_name, without_data
from results.report.facts import show_range
from results.run_folder import IS_BASELINE, PRIOR, RunFolder, is_own
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.files import read_bytes
from search_spaces import SearchSpace, fitted, misfits


def read_configurations(path: Path, space: SearchSpace) -> list[dict[str, Any]]:
    """Configurations to try first, from a JSON list of objects; parameters that one leaves out are sampled.

    Raises:
        InputError: if entries do not fit the space; the message names all of them.
    """
    try:
        entries = json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; accepted: a list of objects, one per configuration") from error
    return check_configurations(entries, space, str(path))


def check_configurations(entries: object, space: SearchSpace, source: str) -> list[dict[str, Any]]:
    """Configurations to try first, checked.

    Args:
        entries: a list of mappings from parameters to values.
        space: search space.
        source: where they come from, for messages.

    Raises:
        InputError: if they are none, or do not fit the space; the message names all that does not.
    """
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InputError(f"{source} must hold a list of objects, one per configuration, parameter: value")
    problems = []
    for number, entry in enumerate(entries, start=1):
        problems += [
            f"configuration {number}: {name} is not searched, accepted: {', '.join(space.parameters)}"
            for name in entry
            if name not in space.parameters
        ]
        problems += [f"configuration {number}: {misfit}" for misfit in misfits(space.parameters, entry)]
    if problems:
        raise InputError(f"{source} does not fit the search space: {'; '.join(problems)}")
    return [fitted(space.parameters, entry) for entry in entries]


def read_priors(
    runs: Sequence[RunFolder],
    settings: Mapping[str, Any],
    space: SearchSpace,
    tell: Callable[[str], object] = lambda _: None,
) -> list[FrozenTrial]:
    """Copies of the trials of earlier searches that lie in a space, for another search's sampler to learn from.

    Args:
        runs: the earlier searches, on the same data and by the same metric.
        settings: settings of the search that is to learn from them.
        space: search space of that search.
        tell: function called with a line for each run that says how many of its trials are taken.

    Raises:
        InputError: if data or metric differ, or no trial of a run lies in the space; the message names the first
            difference.
    """
    copied: list[FrozenTrial] = []
    for run in runs:
        names = _names_here(run, settings)
        # An older run lacks settings that are newer; they were what they are by default.
        there = {**TrainingConfig().to_dict(), **run.settings.get("fixed", {})}
        here = {**settings.get("fixed", {}), DATA_PARAMETER: settings["data_fingerprint"]}
        scored = scored_trials(run.study())
        params = {trial.number: _params_here(trial, names) for trial in scored}
        outside = {number: _outside({**there, **found}, found, here, space) for number, found in params.items()}
        taken = [trial for trial in scored if not outside[trial.number]]
        if scored and not taken:
            raise InputError(
                f"--prior {run.shown} cannot be learned from: none of its {len(scored)} scored trials lies in this "
                f"search's space; trial {scored[0].number}: {outside[scored[0].number]}"
            )
        tell(f"--prior {run.shown}: {len(taken)} of its {len(scored)} scored trials lie in this search's space")
        copied += [_copy(trial, {**there, **params[trial.number]}, space, str(run.path)) for trial in taken]
    return copied


def _names_here(run: RunFolder, settings: Mapping[str, Any]) -> dict[str, str]:
    """What a search calls the preparations of an earlier run's data, by their names there.

    Raises:
        InputError: if it has none of them, or its metric is another one.
    """
    there, here = names_by_fingerprint(run.settings), names_by_fingerprint(settings)
    run.setting("data_fingerprint")
    compared = {"data fingerprint": (there, here), "metric": ([run.setting("metric")], [settings["metric"]])}
    for what, (found, accepted) in compared.items():
        if not set(found).intersection(accepted):
            raise InputError(
                f"--prior {run.shown} cannot be learned from: its {what} is {', '.join(found)}, this search's "
                f"{', '.join(accepted)}"
            )
    return {name: here.get(own, f"{name} (fingerprint {own})") for own, name in there.items()}


def _params_here(trial: FrozenTrial, names: Mapping[str, str]) -> dict[str, Any]:
    """An earlier trial's parameters, with what its data are called here."""
    name = names.get(preparation_name(trial.params), "no data of that search")
    return without_data(trial.params) | ({} if name == ONLY else {DATA_PARAMETER: name})


def scored_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The complete and the pruned trials that a search trained itself."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [trial for trial in ended if is_own(trial)]


def _outside(
    configuration: Mapping[str, Any], searched: Iterable[str], fixed: Mapping[str, Any], space: SearchSpace
) -> str:
    """How an earlier search's configuration lies outside of a space, in words; empty if it does not.

    Args:
        configuration: all training settings of a trial.
        searched: those that the earlier search searched.
        fixed: training settings that the later search fixes.
        space: search space of the later search.
    """
    for name, distribution in space.parameters.items():
        if name not in configuration:
            return f"it has no {name}"
        if misfits({name: distribution}, configuration):
            return f"{name} is {configuration[name]}, accepted: {show_range(name, distribution)}"
    for name in searched:
        if name not in space.parameters and configuration[name] != fixed.get(name):
            return f"{name} is {configuration[name]}, but is fixed at {fixed.get(name)} here"
    return ""


def _copy(trial: FrozenTrial, configuration: Mapping[str, Any], space: SearchSpace, name: str) -> FrozenTrial:
    """A copy of an earlier search's trial, with the parameters of a space; `name` of its run is noted in it."""
    kept = [parameter for parameter in space.parameters if space.has_meaning(parameter, configuration)]
    return create_trial(
        state=trial.state,
        value=trial.value,
        params=fitted(space.parameters, {name: configuration[name] for name in kept}),
        distributions={name: space.parameters[name] for name in kept},
        user_attrs={**trial.user_attrs, PRIOR: name},
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


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
