"""What the plots of a report show, as tables; `results.plots.search_plots` draws them."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from optuna.trial import FrozenTrial

from results import snapshot as reading
from results.run_folder import SECONDS
from results.snapshot import COMPLETE, Record, state_of
from results.tables.formatting import show_percent, show_value
from results.tables.fresh_seeds import seed_scores
from results.tables.lanes import Lane, lanes
from results.tables.trials import CONFIG, SCORE, STATE, TRIAL, config_names, trial_table

LABEL = "label"
"""What a trial says of itself when it is pointed at."""

SO_FAR = "best so far"
"""The best score of the complete trials up to this one; missing before the first."""

EPOCH = "epoch"

LANE, START, END_TIME, KIND = "lane", "start", "end", "kind"
"""Of a timeline: where and when a trial ran; its state in the search, or FRESH."""

FRESH = "fresh seed"

PLAIN = ""
"""Config of a trial that is neither best nor baseline."""


def points(record: Record) -> pd.DataFrame:
    """Every trial that has a score, by number.

    Returns:
        the columns of the trial table, config (best, baseline, or empty) and label.
    """
    table = trial_table(record)
    table = table[table[SCORE].notna()].sort_values(TRIAL, ignore_index=True)
    names, labels = config_names(record), {trial.number: label(trial) for trial in record.search}
    table[CONFIG] = pd.Series([names.get(number, PLAIN) for number in table[TRIAL]], dtype="str")
    table[LABEL] = pd.Series([labels[number] for number in table[TRIAL]], dtype="str")
    return table


def label(trial: FrozenTrial) -> str:
    """A trial's number, state, score and parameters, a line each."""
    score = show_percent(reading.best_score(trial))
    values = [f"{name} {show_value(name, value)}" for name, value in trial.params.items()]
    return "<br>".join([f"trial {trial.number}, {state_of(trial)}, {score}", *values])


def history(table: pd.DataFrame) -> pd.DataFrame:
    """Points with the best score of the complete trials so far."""
    return table.assign(**{SO_FAR: table[SCORE].where(table[STATE] == COMPLETE).cummax().ffill()})


def curves(record: Record) -> pd.DataFrame:
    """Every scored epoch of every trial: trial, config, state, label, epoch, score."""
    names = config_names(record)
    rows = [
        (trial.number, names.get(trial.number, PLAIN), state_of(trial), label(trial), epoch, score)
        for trial in record.search
        for epoch, score in reading.epoch_scores(trial).items()
    ]
    return pd.DataFrame(rows, columns=[TRIAL, CONFIG, STATE, LABEL, EPOCH, SCORE])


def with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Curves with an empty row behind each trial, so that all can be one line of a plot."""
    if table.empty:
        return table
    gaps = table.drop_duplicates(TRIAL).assign(**{EPOCH: float("inf"), SCORE: float("nan")})
    joined = pd.concat([table, gaps]).sort_values([TRIAL, EPOCH], ignore_index=True)
    return joined.assign(**{EPOCH: joined[EPOCH].where(joined[SCORE].notna())})


def timeline(record: Record) -> pd.DataFrame:
    """Which trial ran where and when: lane, start, end, kind, label; trials that still run end at the last news."""
    until = last_news([*record.search, *record.confirmations])
    kinds = {id(trial): state_of(trial) for trial in record.search}
    placed = lanes([*record.search, *record.confirmations], until)
    names = lane_names([lane for _, lane in placed])
    rows = [
        (
            names[lane],
            reading.started(trial),
            trial.datetime_complete or until,
            kinds.get(id(trial), FRESH),
            label(trial),
        )
        for trial, lane in placed
    ]
    return pd.DataFrame(rows, columns=[LANE, START, END_TIME, KIND, LABEL])


def last_news(trials: Sequence[FrozenTrial]) -> datetime | None:
    """The last start or end of any trial."""
    times = [time for trial in trials for time in (reading.started(trial), trial.datetime_complete) if time]
    return max(times, default=None)


def lane_names(placed: Sequence[Lane]) -> dict[Lane, str]:
    """A name for each lane, in the order of workers and numbers."""
    every = sorted(set(placed))
    several = {worker for worker, lane in every if lane}
    return {
        (worker, lane): (f"{worker} ({lane + 1})" if worker in several else worker) if worker else f"lane {lane + 1}"
        for worker, lane in every
    }


def seeds(record: Record) -> pd.DataFrame:
    """Every score under a fresh seed: trial, config, score; the best mean first."""
    names = config_names(record)
    scores = sorted(seed_scores(record).items(), key=lambda item: -sum(item[1]) / len(item[1]))
    rows = [(number, names.get(number, PLAIN), score) for number, found in scores for score in found]
    return pd.DataFrame(rows, columns=[TRIAL, CONFIG, SCORE])


def progress(record: Record) -> pd.DataFrame:
    """The best complete score as trials ended: ended trials, hours of training so far, best so far."""
    ended = [trial for trial in record.search if trial.state.is_finished()]
    ended.sort(key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number))
    scores = pd.Series(
        [reading.best_score(trial) if state_of(trial) == COMPLETE else float("nan") for trial in ended],
        dtype="float64",
    )
    hours = pd.Series([float(trial.user_attrs.get(SECONDS, 0)) / 3600 for trial in ended], dtype="float64")
    return pd.DataFrame({"trials": range(1, len(ended) + 1), "hours": hours.cumsum(), SO_FAR: scores.cummax().ffill()})
