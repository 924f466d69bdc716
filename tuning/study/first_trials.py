"""What a search is given to start from: configurations to try first, and what earlier searches found."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from results.run_folder import RunFolder
from san_core.errors import InputError
from san_core.files import read_bytes
from search_spaces import SearchSpace, misfits
from tuning.study.open_study import copied_trials


def read_configurations(path: Path, space: SearchSpace) -> list[dict[str, Any]]:
    """Configurations to try first, from a JSON list of objects; what one leaves out is sampled.

    Raises:
        InputError: naming every entry that does not fit the space.
    """
    try:
        entries = json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; accepted: a list of objects, one per configuration") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path} must hold a JSON list of objects, one per configuration, parameter: value")
    problems = []
    for place, entry in enumerate(entries, start=1):
        problems += [
            f"configuration {place}: {name} is not searched, accepted: {', '.join(space.parameters)}"
            for name in entry
            if name not in space.parameters
        ]
        problems += [f"configuration {place}: {misfit}" for misfit in misfits(space.parameters, entry)]
    if problems:
        raise InputError(f"{path} does not fit the search space: {'; '.join(problems)}")
    return entries


def read_priors(runs: Sequence[RunFolder], settings: Mapping[str, Any], space: SearchSpace) -> list[FrozenTrial]:
    """The trials of earlier searches, if those searched the same space on the same data by the same metric.

    Args:
        runs: theirs.
        settings: of the search that is to learn from them.
        space: what it searches.

    Raises:
        InputError: naming the first difference.
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
