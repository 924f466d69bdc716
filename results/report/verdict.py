"""The verdict: whether the best configuration is better than the baseline, or may only be lucky, in one sentence."""

import math

import pandas as pd

from results.intervals import Interval, binomial_error, confidence
from results.snapshot import ACCURACY, COMPLETE, RunSnapshot, reason, state_of
from results.tables.columns import BASELINE, BEST, CONFIG, SCORE, SEEDS, TRIAL
from results.tables.fresh_seeds import chosen_among, improvement
from results.tables.trials import comparison


def verdict(snapshot: RunSnapshot) -> str:
    """One sentence on the best configuration and the baseline.

    With two or more fresh seeds for each, the 95 % interval of the difference of their means decides. If the same seeds
    chose the best among several finalists, the interval is wider, see `results.intervals.confidence`. Otherwise the
    difference of the two trials is compared with two standard errors of the difference of two binomial proportions on
    the validation questions. That leaves out the effect of the seed, and the sentence says so.
    """
    rows = {str(row[CONFIG]): row for _, row in comparison(snapshot).iterrows()}
    if BEST not in rows:
        return _nothing_complete(snapshot)
    best = rows[BEST]
    if best[TRIAL] == snapshot.baseline_number:
        return _baseline_is_best(snapshot, best)
    baseline = rows.get(BASELINE)
    if baseline is not None and (difference := improvement(snapshot)):
        return _by_seeds(snapshot, difference, (best[SEEDS], baseline[SEEDS]))
    if baseline is None or math.isnan(baseline[SCORE]):
        return _no_baseline(snapshot, best)
    return _by_questions(snapshot, best, baseline)


def _by_seeds(snapshot: RunSnapshot, difference: Interval, counts: tuple[int, int]) -> str:
    basis = (
        f"mean of {counts[0]} fresh seeds each"
        if counts[0] == counts[1]
        else f"means of {counts[0]} and {counts[1]} fresh seeds"
    )
    low, high = f"{100 * difference.low:+.2f}", f"{100 * difference.high:+.2f}"
    interval = f"{_interval(chosen_among(snapshot))}, {low} to {high} points,"
    start = f"{_beats(difference.middle)}{_in_metric(snapshot)} ({basis}); {interval}"
    if difference.low > 0:
        return f"{start} lies above 0: a reliable improvement."
    if difference.high < 0:
        return f"{start} lies below 0: keep the baseline."
    return f"{start} includes 0: not a reliable improvement; more seeds would tell."


def _interval(finalists: int) -> str:
    """What the interval is called."""
    if finalists == 1:
        return "the 95 % interval"
    level = f"{100 * confidence(finalists):.3g} %"
    return f"the {level} interval (not 95 %, because the same seeds chose the best of {finalists} finalists)"


def _by_questions(snapshot: RunSnapshot, best: pd.Series, baseline: pd.Series) -> str:
    questions = snapshot.settings.get("validation_questions")
    difference = best[SCORE] - baseline[SCORE]
    repeated = (
        "seeds were not repeated" if best[SEEDS] == baseline[SEEDS] == 0 else "too few seeds were repeated to tell more"
    )
    start = f"{_beats(difference)}{_in_metric(snapshot)} (one run each)"
    if not questions:
        return f"{start}, but {repeated}."
    error = 2 * binomial_error(best[SCORE], baseline[SCORE], questions)
    bound = f"the {_points(error)} that chance explains on {questions} validation questions (two standard errors)"
    if difference <= error:
        return f"{start}, within {bound}: not a reliable improvement; {repeated}."
    return f"{start}, more than {bound}, but {repeated}."


def _nothing_complete(snapshot: RunSnapshot) -> str:
    if not snapshot.search:
        return "No trial was started, so there is no best configuration."
    return f"None of the {len(snapshot.search)} trials is complete, so there is no best configuration."


def _baseline_is_best(snapshot: RunSnapshot, best: pd.Series) -> str:
    reached = f"{100 * best[SCORE]:.2f} %{_in_metric(snapshot)}"
    others = sum(state_of(trial) == COMPLETE for trial in snapshot.search) - 1
    if not others:
        return f"Only the baseline is complete ({reached}), so there is nothing to compare it with."
    if snapshot.race.was_run:
        mean, finalists = snapshot.race.mean(best[TRIAL]), len(snapshot.race.finalists)
        return (
            f"The baseline is the best configuration: its mean of {100 * mean:.2f} %{_in_metric(snapshot)} under fresh "
            f"seeds is the highest of the {finalists} finalists."
        )
    return (
        f"The baseline is the best configuration: none of the {others} other complete trials did better than its "
        f"{reached}."
    )


def _no_baseline(snapshot: RunSnapshot, best: pd.Series) -> str:
    if snapshot.baseline_number is None:
        reached = f"{100 * best[SCORE]:.2f} %{_in_metric(snapshot)}"
        return f"This search ran no baseline: its best is trial {best[TRIAL]}, {reached}."
    baseline = snapshot.baseline
    why = "missing" if baseline is None else reason(baseline) or state_of(baseline)
    return (
        f"The baseline did not finish ({why}), so the best configuration (trial {best[TRIAL]}, "
        f"{100 * best[SCORE]:.2f} %{_in_metric(snapshot)}) has nothing to be compared with."
    )


def _beats(difference: float) -> str:
    if difference == 0:
        return "The best configuration equals the baseline"
    if difference < 0:
        return f"The best configuration is {_points(-difference)} below the baseline"
    return f"The best configuration beats the baseline by {_points(difference)}"


def _in_metric(snapshot: RunSnapshot) -> str:
    """The metric as part of a sentence; empty for accuracy."""
    return "" if snapshot.metric_title == ACCURACY else f" in {snapshot.metric_title}"


def _points(difference: float) -> str:
    return f"{100 * difference:.2f} points"
