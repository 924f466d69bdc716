"""Whether the best configuration is better than the baseline, or was only lucky: one plain sentence."""

import math

import pandas as pd

from results import record as reading
from results.record import ACCURACY, COMPLETE, STATES, Record, Source, read
from results.tables import BASELINE, BEST, CONFIG, DEVIATION, MEAN, SCORE, SEEDS, TRIAL, comparison
from tuning.run_folder import BASELINE_TRIAL

ENOUGH_SEEDS = 2
"""Fresh seeds that each configuration needs before the spread between seeds is known."""


def verdict(run: Source) -> str:
    """One sentence on the best configuration and the baseline.

    With two or more fresh seeds for each, the difference of their means is held against the seed-to-seed spread: the
    pooled sample standard deviation of the two groups. Otherwise the difference of the two trials is held against two
    standard errors of the difference of two binomial proportions on the validation questions, which leaves out what
    a seed does; the sentence says so.
    """
    record = read(run)
    rows = {str(row[CONFIG]): row for _, row in comparison(record).iterrows()}
    if BEST not in rows:
        return _nothing_complete(record)
    best = rows[BEST]
    if best[TRIAL] == BASELINE_TRIAL:
        return _baseline_is_best(record, best)
    if BASELINE not in rows or math.isnan(rows[BASELINE][SCORE]):
        return _no_baseline(record, best)
    baseline = rows[BASELINE]
    if min(best[SEEDS], baseline[SEEDS]) >= ENOUGH_SEEDS:
        return _by_seeds(record, best, baseline)
    return _by_questions(record, best, baseline)


def pooled_deviation(first: pd.Series, second: pd.Series) -> float:
    """Pooled sample standard deviation of two rows of the comparison, each with its own mean."""
    freedom = [first[SEEDS] - 1, second[SEEDS] - 1]
    squares = freedom[0] * first[DEVIATION] ** 2 + freedom[1] * second[DEVIATION] ** 2
    return math.sqrt(squares / sum(freedom))


def binomial_error(first: float, second: float, questions: int) -> float:
    """Standard error of the difference of two scores in [0, 1], each the mean over that many independent questions.

    Exact where a question is answered right or wrong; an upper bound where it can score anything in [0, 1], because
    the variance is then p(1 - p) at most.
    """
    return math.sqrt((first * (1 - first) + second * (1 - second)) / questions)


def _by_seeds(record: Record, best: pd.Series, baseline: pd.Series) -> str:
    difference, spread = best[MEAN] - baseline[MEAN], pooled_deviation(best, baseline)
    counts = best[SEEDS], baseline[SEEDS]
    basis = (
        f"mean of {counts[0]} fresh seeds each"
        if counts[0] == counts[1]
        else f"means of {counts[0]} and {counts[1]} fresh seeds"
    )
    start = f"{_beats(difference)}{_in_metric(record)} ({basis})"
    bound = f"the seed-to-seed spread of {_points(spread)}"
    if abs(difference) <= spread:
        return f"{start}, within {bound}: not a reliable improvement."
    error = 2 * spread * math.sqrt(1 / counts[0] + 1 / counts[1])
    if abs(difference) <= error:
        return (
            f"{start}, more than {bound} but within two standard errors of the difference ({_points(error)}): "
            "more seeds would tell."
        )
    advice = "" if difference > 0 else ": keep the baseline"
    return f"{start}, more than {bound}{advice}."


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
    others = sum(STATES[trial.state] == COMPLETE for trial in record.search) - 1
    if not others:
        return f"Only the baseline is complete ({reached}), so there is nothing to compare it with."
    return (
        f"The baseline is the best configuration: none of the {others} other complete trials did better than its "
        f"{reached}."
    )


def _no_baseline(record: Record, best: pd.Series) -> str:
    baseline = next((trial for trial in record.search if trial.number == BASELINE_TRIAL), None)
    why = "missing" if baseline is None else reading.reason(baseline) or STATES[baseline.state]
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
