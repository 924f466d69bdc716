"""The tables of a search: its trials, the runs under fresh seeds, and the best beside the baseline."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from results import run_folder
from results.ranking import rank_trials
from results.snapshot import (
    COMPLETE,
    PRUNED,
    STOPPED,
    RunSnapshot,
    best_epoch,
    best_score,
    epochs,
    reason,
    state_of,
)
from results.tables.columns import (
    BASELINE,
    BEST,
    BEST_EPOCH,
    CONFIG,
    CONFIRMS,
    DEVIATION,
    DIFFERENCE,
    EPOCHS,
    MEAN,
    OTHER,
    RANK,
    REASON,
    SCORE,
    SECONDS,
    SEED,
    SEEDS,
    STATE,
    TRIAL,
    UNKNOWN,
)

_AFTER_PARAMETERS = (SCORE, DIFFERENCE, BEST_EPOCH, EPOCHS, SECONDS, SEED, STATE, REASON)
_RESERVED = {RANK, TRIAL, CONFIG, SEEDS, MEAN, DEVIATION, *_AFTER_PARAMETERS}


def trial_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """Every trial of the search, one row each, the best first.

    Complete trials come first, by the rule in `results.ranking`; then pruned ones, by the epochs they reached and
    their score; then, without a rank, the trials that failed, diverged or have not ended. Trials that only their
    numbers tell apart share a rank.

    Returns:
        rank, trial, one column for each parameter, score, difference, best_epoch, epochs, seconds, seed, state,
        reason. A parameter that is called like another column is found under "<name> (parameter)".
    """
    if "trials" not in snapshot.tables:
        snapshot.tables["trials"] = _trial_table(snapshot)
    table: pd.DataFrame = snapshot.tables["trials"]
    return table.copy()


def _trial_table(snapshot: RunSnapshot) -> pd.DataFrame:
    ranked, unranked = _by_rank(snapshot.search)
    trials = [*ranked, *unranked]
    ranks = [*_shared_ranks(ranked), *[None] * len(unranked)]
    scores = pd.Series([best_score(trial) for trial in trials], dtype="float64")
    columns = {
        RANK: _whole_numbers(ranks),
        TRIAL: pd.Series([trial.number for trial in trials], dtype="int64"),
        **_parameters(trials),
        SCORE: scores,
        DIFFERENCE: scores - _baseline_score(snapshot),
        BEST_EPOCH: _whole_numbers([best_epoch(trial) or None for trial in trials]),
        EPOCHS: pd.Series([epochs(trial) for trial in trials], dtype="int64"),
        SECONDS: pd.Series([trial.user_attrs.get(run_folder.SECONDS, math.nan) for trial in trials], dtype="float64"),
        SEED: _whole_numbers([trial.user_attrs.get(run_folder.SEED) for trial in trials]),
        STATE: _texts(state_of(trial) for trial in trials),
        REASON: _texts(_reason(trial, snapshot.repeats) for trial in trials),
    }
    return pd.DataFrame(columns)


def _reason(trial: FrozenTrial, repeats: Mapping[int, int]) -> str:
    """Why a trial ended, and which one ran it again if it failed."""
    again = repeats.get(trial.number)
    return reason(trial) if again is None else f"{reason(trial)} (run again: trial {again})"


def parameter_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a trial table, or of a comparison, that hold parameters."""
    names = list(table.columns)
    return names[names.index(TRIAL) + 1 : names.index(SCORE)]


def parameter_column(name: str) -> str:
    """The column that holds a parameter: its name, marked if another column is called so."""
    return f"{name} (parameter)" if name in _RESERVED else name


def confirmation_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """Every run under a fresh seed, one row each, in the order in which they were started.

    Returns:
        config, trial (its number among these runs), confirms, seed, score, state, reason.
    """
    names, trials = config_names(snapshot), snapshot.confirmations
    repeats = [trial.user_attrs.get(run_folder.CONFIRMS) for trial in trials]
    columns = {
        CONFIG: _texts(UNKNOWN if number is None else names.get(number, OTHER) for number in repeats),
        TRIAL: pd.Series([trial.number for trial in trials], dtype="int64"),
        CONFIRMS: _whole_numbers(repeats),
        SEED: _whole_numbers([trial.user_attrs.get(run_folder.SEED) for trial in trials]),
        SCORE: pd.Series([best_score(trial) for trial in trials], dtype="float64"),
        STATE: _texts(state_of(trial) for trial in trials),
        REASON: _texts(reason(trial) for trial in trials),
    }
    return pd.DataFrame(columns)


def config_names(snapshot: RunSnapshot) -> dict[int | None, str]:
    """BEST and BASELINE by the number of their trial; a trial that is both is BASELINE."""
    return {snapshot.best_number: BEST, snapshot.baseline_number: BASELINE}


def comparison(snapshot: RunSnapshot) -> pd.DataFrame:
    """The best configuration and the baseline, a row each; the same trial twice if the baseline is the best.

    A row is left out if there is no such trial. Only complete trials and runs have a score here, because that of an
    unfinished one cannot be compared.

    Returns:
        config, trial, one column for each parameter, score (in the search), seeds, mean, deviation.
    """
    trials, confirmations = trial_table(snapshot), confirmation_table(snapshot)
    numbers = {BEST: snapshot.best_number, BASELINE: snapshot.baseline_number}
    rows = pd.concat([trials[trials[TRIAL] == number] for number in numbers.values()], ignore_index=True)
    configs = [config for config, number in numbers.items() if (trials[TRIAL] == number).any()]
    finished = confirmations[confirmations[STATE] == COMPLETE]
    seeds = [finished.loc[finished[CONFIRMS] == number, SCORE].dropna() for number in rows[TRIAL]]
    table = rows[[TRIAL, *parameter_columns(trials)]].copy()
    table.insert(0, CONFIG, _texts(configs))
    table[SCORE] = rows[SCORE].where(rows[STATE] == COMPLETE)
    table[SEEDS] = pd.Series([len(group) for group in seeds], dtype="int64")
    table[MEAN] = pd.Series([group.mean() for group in seeds], dtype="float64")
    table[DEVIATION] = pd.Series([group.std(ddof=1) for group in seeds], dtype="float64")
    return table


def _shared_ranks(ranked: Sequence[FrozenTrial]) -> list[int]:
    """The ranks of trials that are in order: those that only their numbers tell apart share the first one's."""
    ranks: list[int] = []
    for place, trial in enumerate(ranked):
        equal = place > 0 and _merit(trial) == _merit(ranked[place - 1])
        ranks.append(ranks[-1] if equal else place + 1)
    return ranks


def _merit(trial: FrozenTrial) -> tuple[str, float, float]:
    """What a trial is ranked by, besides its number."""
    if state_of(trial) == COMPLETE:
        return COMPLETE, trial.value or 0.0, 0
    return state_of(trial), epochs(trial), best_score(trial)


def _by_rank(trials: Sequence[FrozenTrial]) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """The trials that have a rank, the best first, and those that have none, by number."""
    complete = rank_trials(trials)
    early = [t for t in trials if state_of(t) in {PRUNED, STOPPED} and not math.isnan(best_score(t))]
    early.sort(key=lambda trial: (-epochs(trial), -best_score(trial), trial.number))
    ranked = [*complete, *early]
    numbers = {trial.number for trial in ranked}
    return ranked, sorted((trial for trial in trials if trial.number not in numbers), key=lambda trial: trial.number)


def _baseline_score(snapshot: RunSnapshot) -> float:
    """The complete baseline's score; NaN if the baseline is not complete."""
    baseline = snapshot.baseline
    return best_score(baseline) if baseline and state_of(baseline) == COMPLETE else math.nan


def _parameters(trials: Sequence[FrozenTrial]) -> dict[str, pd.Series]:
    """A column for each parameter, in the order in which the search first asked for them."""
    by_number = sorted(trials, key=lambda trial: trial.number)
    names = dict.fromkeys(name for trial in by_number for name in trial.params)
    return {
        parameter_column(name): _values(
            [name in trial.params for trial in trials], [trial.params.get(name) for trial in trials]
        )
        for name in names
    }


def _values(present: Sequence[bool], values: Sequence[Any]) -> pd.Series:
    """A parameter's column: of the type that all its values share, or else text.

    Args:
        present: whether each trial has the parameter.
        values: None for a trial that lacks it.
    """
    kinds = {type(value) for value, known in zip(values, present, strict=True) if known}
    if kinds == {int} and all(abs(value or 0) < 2**63 for value in values):
        return _whole_numbers(values)
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds <= {int, float}:
        return pd.Series(
            [value if known else math.nan for value, known in zip(values, present, strict=True)], dtype="float64"
        )
    return _texts(str(value) if known else None for value, known in zip(values, present, strict=True))


def _whole_numbers(values: Sequence[int | None]) -> pd.Series:
    return pd.Series(values, dtype="Int64")


def _texts(values: Iterable[str | None]) -> pd.Series:
    return pd.Series(list(values), dtype="str")
