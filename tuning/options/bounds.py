"""The bounds of a search, from its options and, if it is resumed, from what it used before."""

from collections.abc import Mapping

from results.run_folder import SECONDS, RunFolder, is_own
from san_core.errors import InputError
from tuning.options.option import Amount
from tuning.options.problems import Problems
from tuning.options.search_options import BOUNDS, TRIALS, SearchOptions, declared_options
from tuning.study.stop_rules import SinceBest

Bounds = Mapping[str, float | None]
"""Each bound by the name of its option; None where there is none."""


def new_bounds(options: SearchOptions) -> Bounds:
    """The bounds of a new search; without any option, 24 trials.

    Raises:
        InputError: if an option adds (`+N`), since there is nothing to add to; the message names each of them.
    """
    problems = Problems()
    bounds: dict[str, float | None] = {}
    for name in BOUNDS:
        amount: Amount | None = getattr(options, name)
        with problems:
            bounds[name] = None if amount is None else _absolute(name, amount)
    problems.raise_all()
    return bounds if any(bounds.values()) else {**bounds, "trials": TRIALS}


def _absolute(name: str, amount: Amount) -> float:
    if amount.more:
        flag = declared_options()[name].flag
        raise InputError(f"{flag} {amount.text} adds to a search that is resumed; accepted here: without +")
    return amount.value


def resumed_bounds(run: RunFolder, options: SearchOptions) -> Bounds:
    """The bounds of a resumed search: those given now, or else those it had.

    Bounds that are given replace all earlier ones: a search that was to have 24 trials and is given half an hour more
    has no use for the 24.

    Raises:
        InputError: if a setting that is needed is missing.
    """
    given: dict[str, Amount] = {name: value for name, value in options.given_values.items() if name in BOUNDS}
    if not given:
        return {name: run.setting(name) for name in BOUNDS}
    used = _used(run)
    return {name: given[name].after(used[name]) if name in given else None for name in BOUNDS}


def _used(run: RunFolder) -> Mapping[str, float]:
    """What is used up of each bound, which `+N` comes on top of; of trials, how many it was to have."""
    study = run.study() if run.journal.is_file() else None
    trials = list(filter(is_own, study.get_trials(deepcopy=False))) if study else []
    trained = sum(trial.user_attrs.get(SECONDS, 0.0) for trial in trials)
    return {
        "trials": run.setting("trials") or len(trials),
        "budget": study.user_attrs.get(SECONDS, 0.0) if study else 0.0,
        "gpu_hours": trained * run.setting("gpus_per_trial") / 3600,
        "patience": SinceBest(trials).count,
    }
