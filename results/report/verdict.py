"""Whether the best configuration is better than the baseline, or was only lucky: one plain sentence."""

import math

import pandas as pd

from results import snapshot as reading
from results.snapshot import ACCURACY, COMPLETE, Record, Source, read, state_of
from results.tables.intervals import ENOUGH_SEEDS, Sample, binomial_error, difference_interval
from results.tables.trials import BASELINE, BEST, CONFIG, DEVIATION, MEAN, SCORE, SEEDS, TRIAL, comparison


def verdict(run: Source) -> str:
    """One sentence on the best configuration and the baseline.

    With two or more fresh seeds for each, the 95 % interval of the difference of their means decides. Otherwise the
    difference of the two trials is held against two standard errors of the difference of two binomial proportions on
    the validation questions, which leaves out what a seed does; the sentence says so.
    """
    record = read(run)
    rows = {str(row[CONFIG]): row for _, row in comparison(record).iterrows()}
    if BEST not in rows:
        return _nothing_complete(record)
    best = rows[BEST]
    if best[TRIAL] == record.baseline_trial:
        return _baseline_is_best(record, best)
    baseline = rows.get(BASELINE)
    if baseline is not None and min(best[SEEDS], baseline[SEEDS]) >= ENOUGH_SEEDS:
        return _by_seeds(record, best, baseline)
    if baseline is None or math.isnan(baseline[SCORE]):
        return _no_baseline(record, best)
    return _by_questions(record, best, baseline)


def _by_seeds(record: Record, best: pd.Series, baseline: pd.Series) -> str:
    difference = difference_interval(_sample(best), _sample(baseline))
    counts = best[SEEDS], baseline[SEEDS]
    basis = (
        f"mean of {counts[0]} fresh seeds each"
        if counts[0] == counts[1]
        else f"means of {counts[0]} and {counts[1]} fresh seeds"
    )
    low, high = f"{100 * difference.low:+.2f}", f"{100 * difference.high:+.2f}"
    start = f"{_beats(difference.middle)}{_in_metric(record)} ({basis}); the 95 % interval, {low} to {high} points,"
    if difference.low > 0:
        return f"{start} lies above 0: a reliable improvement."
    if difference.high < 0:
        return f"{start} lies below 0: keep the baseline."
    return f"{start} includes 0: not a reliable improvement; more seeds would tell."


def _sample(row: pd.Series) -> Sample:
    return Sample(row[SEEDS], row[MEAN], row[DEVIATION])


def _by_questions(record: Record, best: pd.Series, baseline: pd.Series) -> str:
    questions = record.settings.get("validation_questions")
    difference = best[SCORE] - baseline[SCORE]
    repeated = (
        "seeds were not repeated" if best[SEEDS] == baseline[SEEDS] == 0 else "too few seeds were repeated to tell more"
    )
    start = f"{_beats(difference)}{_in_metric(record)} (one run each)"
    if not questions:
        return f"{start}, but {repeated}."
    error = 2 * binomial_error(best[SCORE], baseline[SCORE], questions)
    bound = f"the {_points(error)} that chance explains on {questions} validation questions (two standard errors)"
    if difference <= error:
        return f"{start}, within {bound}: not a reliable improvement; {repeated}."
    return f"{start}, more than {bound}, but {repeated}."


def _nothing_complete(record: Record) -> str:
    if not record.search:
        return "No trial was started, so there is no best configuration."
    return f"None of the {len(record.search)} trials is complete, so there is no best configuration."


def _baseline_is_best(record: Record, best: pd.Series) -> str:
    reached = f"{100 * best[SCORE]:.2f} %{_in_metric(record)}"
    others = sum(state_of(trial) == COMPLETE for trial in record.search) - 1
    if not others:
        return f"Only the baseline is complete ({reached}), so there is nothing to compare it with."
    return (
        f"The baseline is the best configuration: none of the {others} other complete trials did better than its "
        f"{reached}."
    )


def _no_baseline(record: Record, best: pd.Series) -> str:
    if record.baseline_trial is None:
        reached = f"{100 * best[SCORE]:.2f} %{_in_metric(record)}"
        return f"This search ran no baseline: its best is trial {best[TRIAL]}, {reached}."
    baseline = next((trial for trial in record.search if trial.number == record.baseline_trial), None)
    why = "missing" if baseline is None else reading.reason(baseline) or state_of(baseline)
    return (
        f"The baseline did not finish ({why}), so the best configuration (trial {best[TRIAL]}, "
        f"{100 * best[SCORE]:.2f} %{_in_metric(record)}) has nothing to be compared with."
    )


def _beats(difference: float) -> str:
    if difference == 0:
        return "The best configuration equals the baseline"
    if difference < 0:
        return f"The best configuration is {_points(-difference)} below the baseline"
    return f"The best configuration beats the baseline by {_points(difference)}"


def _in_metric(record: Record) -> str:
    """Names the metric; accuracy goes without saying."""
    return "" if record.metric_title == ACCURACY else f" in {record.metric_title}"


def _points(difference: float) -> str:
    return f"{100 * difference:.2f} points"
