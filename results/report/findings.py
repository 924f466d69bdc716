"""Findings: what a search showed, a sentence each."""

import math
import shlex
import statistics
from collections.abc import Mapping
from dataclasses import fields

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from results.report.facts import show_range
from results.snapshot import COMPLETE, PRUNED, RunSnapshot, best_score, fold_scores, in_order_of_end, state_of
from results.tables.columns import RANK
from results.tables.costs import seconds_saved, training_seconds
from results.tables.formatting import show_duration, show_percent, show_value
from results.tables.fresh_seeds import chance_difference
from results.tables.importance import MIN_TRIALS, among_best
from results.tables.trials import trial_table
from san_core.config import TrainingConfig

EDGE = 0.05
"""Share of a range, at either end, that counts as its edge."""

_NOT_AGAIN = ("--space", "--run")
"""Options that are not repeated where a search is to be run again in another space; each has a value."""

MIN_ENDED = 10
"""Fewest complete and pruned trials that a trend is read from."""


def findings(snapshot: RunSnapshot, shares: Mapping[str, float]) -> list[str]:
    """Sentences: spread over folds, what mattered most, ranges that are too narrow, more trials, what pruning saved.

    Args:
        snapshot: snapshot of the search.
        shares: importance of each hyperparameter.
    """
    sentences = (
        _over_folds(snapshot),
        _what_mattered(snapshot, shares),
        _edges(snapshot),
        _more_trials(snapshot),
        _saved(snapshot),
    )
    return [sentence for sentence in sentences if sentence]


def edge(name: str, value: object, distribution: BaseDistribution) -> str:
    """Which edge of its range a value lies at, `lower` or `upper`; empty for none, or if it cannot be widened."""
    if not isinstance(distribution, FloatDistribution | IntDistribution) or not isinstance(value, int | float):
        return ""
    low, high, value = float(distribution.low), float(distribution.high), float(value)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    if high <= low:
        return ""
    place = (value - low) / (high - low)
    lower, upper = _limits(name)
    if place <= EDGE and not distribution.low <= lower:
        return "lower"
    return "upper" if place >= 1 - EDGE and not distribution.high >= upper else ""


def _limits(name: str) -> tuple[float, float]:
    """The lowest and the highest value of a setting that training accepts."""
    rules: Mapping[str, float] = next((field.metadata for field in fields(TrainingConfig) if field.name == name), {})
    return rules.get("at_least", rules.get("above", -math.inf)), rules.get("at_most", rules.get("below", math.inf))


def _over_folds(snapshot: RunSnapshot) -> str:
    questions = snapshot.settings.get("fold_questions", [])
    scores = fold_scores(snapshot.best, questions) if snapshot.best else []
    if len(scores) < 2:
        return ""
    return (
        f"Scores are means over {len(scores)} folds. The best trial's lie between {show_percent(min(scores))} and "
        f"{show_percent(max(scores))} (standard deviation {100 * statistics.stdev(scores):.2f} points)."
    )


def _what_mattered(snapshot: RunSnapshot, shares: Mapping[str, float]) -> str:
    scored = int(trial_table(snapshot)[RANK].count())
    if not shares and scored >= MIN_TRIALS and (best := among_best(snapshot)) > scored / 2:
        return (
            f"Which hyperparameter mattered most cannot be told: equal scores put {best} of the {scored} scored trials "
            "among the best."
        )
    if not shares:
        return (
            "Which hyperparameter mattered most is not known: "
            f"that takes at least {MIN_TRIALS} scored trials with different values."
        )
    first, *others = shares.items()
    second = f", followed by {others[0][0]} ({100 * others[0][1]:.0f} %)" if others else ""
    return f"The hyperparameter that mattered most is {first[0]} (importance {100 * first[1]:.0f} %){second}."


def wider_ranges(snapshot: RunSnapshot) -> str:
    """Which ranges to widen, because the best value lies at an edge, and the command that does it; empty for none."""
    best = snapshot.best
    if best is None:
        return ""
    advice = []
    for name, value in best.params.items():
        distribution = best.distributions[name]
        if side := edge(name, value, distribution):
            ways = {"lower": "downwards", "upper": "upwards"}
            found, searched = show_value(name, value), show_range(name, distribution)
            advice.append(
                f"the best {name} ({found}) lies at the {side} edge of its range ({searched}): widen it {ways[side]}"
            )
    if not advice:
        return ""
    text = "; ".join(advice)
    return (
        f"{text[0].upper()}{text[1:]}. To do so, write the wider space to a file (docs/own-search-space.md), and have "
        f"a new search learn from this one: {_learning_from(snapshot)}"
    )


def _learning_from(snapshot: RunSnapshot) -> str:
    """The command of the search with another space, and with this search as one to learn from."""
    words = shlex.split(str(snapshot.settings.get("command") or "python -m tuning.search"))
    kept, left_out = [], False
    for word in words:
        if not left_out and word.partition("=")[0] not in _NOT_AGAIN:
            kept.append(word)
        left_out = word in _NOT_AGAIN
    return f"{shlex.join(kept)} --space FILE.py --prior {shlex.quote(snapshot.folder.shown)}"


def _edges(snapshot: RunSnapshot) -> str:
    if snapshot.best is None:
        return ""
    return (
        wider_ranges(snapshot)
        or "No value of the best configuration lies at an edge of its range that could be widened."
    )


def _more_trials(snapshot: RunSnapshot) -> str:
    """Compares the improvement in the later half of the trials with what chance explains."""
    ended = [trial for trial in in_order_of_end(snapshot.search) if state_of(trial) in {COMPLETE, PRUNED}]
    if len(ended) < MIN_ENDED:
        return f"More trials would likely help: the {len(ended)} scored so far are too few to show a trend."
    half = len(ended) // 2
    before, after = _best_of(ended[:half]), _best_of(ended)
    if math.isnan(after):
        return ""
    if math.isnan(before):
        return "The earlier half of the trials completed none: more trials would likely help."
    gain, bound = after - before, chance_difference(snapshot)
    added = f"The later half of the trials raised the best {snapshot.metric_title} by {100 * gain:.2f} points"
    if math.isnan(bound):
        return f"{added}: more trials would {'likely help' if gain > 0 else 'hardly help in this space'}."
    if gain > bound:
        return f"{added}, more than chance explains ({100 * bound:.2f}): more trials would likely help."
    return f"{added}, within what chance explains ({100 * bound:.2f}): more trials would hardly help in this space."


def _saved(snapshot: RunSnapshot) -> str:
    pruned = sum(state_of(trial) == PRUNED for trial in snapshot.search)
    if not pruned:
        return "No trial was stopped early, so pruning saved nothing."
    saved, spent = seconds_saved(snapshot), training_seconds(snapshot.search)
    if saved + spent == 0:
        return ""
    return (
        f"Stopping {pruned} trials early saved about {show_duration(saved)} of training, "
        f"{100 * saved / (saved + spent):.0f} % of what all trials would have taken to their end."
    )


def _best_of(trials: list[FrozenTrial]) -> float:
    """The best score of the complete trials; NaN if there are none."""
    return max((best_score(trial) for trial in trials if state_of(trial) == COMPLETE), default=math.nan)
