"""The tables of a search: its trials, the runs that confirm them, and the best against the baseline."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from results import snapshot as reading
from results.run_folder import CONFIRMS, SECONDS, SEED
from results.snapshot import COMPLETE, PRUNED, Record, Source, read, state_of

RANK = "rank"
"""1 is the best; missing for a trial that failed or has not ended."""

TRIAL = "trial"
"""The trial's number in its study."""

SCORE = "score"
"""Best validation score of the trial's epochs, in [0, 1]."""

DIFFERENCE = "difference"
"""Score less the finished baseline's, in [-1, 1]."""

BEST_EPOCH = "best_epoch"
"""The first epoch that reached the score; the first of all is 1."""

EPOCHS = "epochs"
"""Epochs that were trained and scored."""

TIME = "seconds"
"""Training and scoring time of these epochs."""

TRIAL_SEED = "seed"
"""The seed the training used."""

STATE = "state"
"""complete, pruned, diverged, failed, running or waiting."""

END = "reason"
"""Why the trial ended, or why it has not; empty for one that ran all its epochs."""

CONFIG = "config"
"""BEST or BASELINE; in the confirmations also OTHER and UNKNOWN."""

CONFIRMED = "confirms"
"""Number of the search's trial whose configuration this one repeats."""

SEEDS = "seeds"
"""How many fresh seeds repeated the configuration to the end."""

MEAN = "mean"
"""Mean score over the fresh seeds, in [0, 1]."""

DEVIATION = "deviation"
"""Sample standard deviation (n - 1) over the fresh seeds, as a score; missing for fewer than two."""

BEST, BASELINE = "best", "baseline"

OTHER = "other"
"""Any other trial that was repeated."""

UNKNOWN = "unknown"
"""The run was killed before it wrote down what it repeats."""

_AFTER_PARAMETERS = (SCORE, DIFFERENCE, BEST_EPOCH, EPOCHS, TIME, TRIAL_SEED, STATE, END)
_RESERVED = {RANK, TRIAL, CONFIG, SEEDS, MEAN, DEVIATION, *_AFTER_PARAMETERS}


def trial_table(run: Source) -> pd.DataFrame:
    """Every trial of the search, one row each, the best first.

    Complete trials come first, by score (ties: fewer epochs, then the earlier trial); then pruned ones, by the
    epochs they reached and their score; then, without a rank, the trials that failed or have not ended.

    Returns:
        rank, trial, one column for each parameter, score, difference, best_epoch, epochs, seconds, seed, state,
        reason. A parameter that is called like another column is found under "<name> (parameter)".
    """
    record = read(run)
    trials = sorted(record.search, key=_order)
    ranked = sum(_is_ranked(trial) for trial in trials)
    scores = pd.Series([reading.best_score(trial) for trial in trials], dtype="float64")
    columns = {
        RANK: _whole([index + 1 if index < ranked else None for index in range(len(trials))]),
        TRIAL: pd.Series([trial.number for trial in trials], dtype="int64"),
        **_parameters(trials),
        SCORE: scores,
        DIFFERENCE: scores - _baseline_score(record),
        BEST_EPOCH: _whole([reading.best_epoch(trial) for trial in trials]),
        EPOCHS: pd.Series([reading.epochs(trial) for trial in trials], dtype="int64"),
        TIME: pd.Series([trial.user_attrs.get(SECONDS, math.nan) for trial in trials], dtype="float64"),
        TRIAL_SEED: _whole([trial.user_attrs.get(SEED) for trial in trials]),
        STATE: _words(state_of(trial) for trial in trials),
        END: _words(reading.reason(trial) for trial in trials),
    }
    return pd.DataFrame(columns)


def parameter_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a trial table, or of a comparison, that hold parameters."""
    names = list(table.columns)
    return names[names.index(TRIAL) + 1 : names.index(SCORE)]


def best_trial(run: Source) -> int | None:
    """Number of the trial that is ranked first, if any trial is complete."""
    complete = [trial for trial in read(run).search if _is_ranked(trial) and state_of(trial) == COMPLETE]
    return min(complete, key=_order).number if complete else None


def confirmation_table(run: Source) -> pd.DataFrame:
    """Every run under a fresh seed, one row each, as they were started.

    Returns:
        config, trial (its number among these runs), confirms, seed, score, state, reason.
    """
    record = read(run)
    names, trials = config_names(record), record.confirmations
    repeats = [trial.user_attrs.get(CONFIRMS) for trial in trials]
    columns = {
        CONFIG: _words(UNKNOWN if number is None else names.get(number, OTHER) for number in repeats),
        TRIAL: pd.Series([trial.number for trial in trials], dtype="int64"),
        CONFIRMED: _whole(repeats),
        TRIAL_SEED: _whole([trial.user_attrs.get(SEED) for trial in trials]),
        SCORE: pd.Series([reading.best_score(trial) for trial in trials], dtype="float64"),
        STATE: _words(state_of(trial) for trial in trials),
        END: _words(reading.reason(trial) for trial in trials),
    }
    return pd.DataFrame(columns)


def config_names(run: Source) -> dict[int | None, str]:
    """BEST and BASELINE by the number of their trial; one that is both is the baseline."""
    record = read(run)
    return {best_trial(record): BEST, record.baseline_trial: BASELINE}


def comparison(run: Source) -> pd.DataFrame:
    """The best configuration and the baseline, a row each, with the same trial in both where they are one.

    A row is left out where there is no such trial. Only complete trials and runs have a score here: that of an
    unfinished one cannot be compared.

    Returns:
        config, trial, one column for each parameter, score (in the search), seeds, mean, deviation.
    """
    record = read(run)
    trials, confirmations = trial_table(record), confirmation_table(record)
    numbers = {BEST: best_trial(record), BASELINE: record.baseline_trial}
    rows = pd.concat([trials[trials[TRIAL] == number] for number in numbers.values()], ignore_index=True)
    configs = [config for config, number in numbers.items() if (trials[TRIAL] == number).any()]
    finished = confirmations[confirmations[STATE] == COMPLETE]
    seeds = [finished.loc[finished[CONFIRMED] == number, SCORE].dropna() for number in rows[TRIAL]]
    table = rows[[TRIAL, *parameter_columns(trials)]].copy()
    table.insert(0, CONFIG, _words(configs))
    table[SCORE] = rows[SCORE].where(rows[STATE] == COMPLETE)
    table[SEEDS] = pd.Series([len(group) for group in seeds], dtype="int64")
    table[MEAN] = pd.Series([group.mean() for group in seeds], dtype="float64")
    table[DEVIATION] = pd.Series([group.std(ddof=1) for group in seeds], dtype="float64")
    return table


def _is_ranked(trial: FrozenTrial) -> bool:
    return state_of(trial) in {COMPLETE, PRUNED} and not math.isnan(reading.best_score(trial))


def _order(trial: FrozenTrial) -> tuple[float, ...]:
    if not _is_ranked(trial):
        return (2, trial.number)
    score, epochs = reading.best_score(trial), reading.epochs(trial)
    if state_of(trial) == COMPLETE:
        return (0, -score, epochs, trial.number)
    return (1, -epochs, -score, trial.number)


def _baseline_score(record: Record) -> float:
    """The finished baseline's score; NaN where it has not finished."""
    baseline = next((trial for trial in record.search if trial.number == record.baseline_trial), None)
    if baseline is None or state_of(baseline) != COMPLETE:
        return math.nan
    return reading.best_score(baseline)


def _parameters(trials: Sequence[FrozenTrial]) -> dict[str, pd.Series]:
    """A column for each parameter, in the order in which the search first asked for them."""
    by_number = sorted(trials, key=lambda trial: trial.number)
    names = dict.fromkeys(name for trial in by_number for name in trial.params)
    return {
        f"{name} (parameter)" if name in _RESERVED else name: _values(
            [name in trial.params for trial in trials], [trial.params.get(name) for trial in trials]
        )
        for name in names
    }


def _values(present: Sequence[bool], values: Sequence[Any]) -> pd.Series:
    """A parameter's column, in the one type that its values share, or else as text."""
    kinds = {type(value) for value, there in zip(values, present, strict=True) if there}
    if kinds == {int}:
        return _whole(values)
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds <= {int, float}:
        return pd.Series(
            [value if there else math.nan for value, there in zip(values, present, strict=True)], dtype="float64"
        )
    return _words(str(value) if there else None for value, there in zip(values, present, strict=True))


def _whole(values: Sequence[int | None]) -> pd.Series:
    return pd.Series(values, dtype="Int64")


def _words(values: Iterable[str | None]) -> pd.Series:
    return pd.Series(list(values), dtype="str")
