"""Results of fresh seeds: the scores of every repeated configuration, and how much scores vary by chance."""

import math

import pandas as pd

from results.intervals import (
    ENOUGH_SEEDS,
    Interval,
    Sample,
    binomial_error,
    difference_interval,
    pooled_deviation,
    score_bounds,
)
from results.snapshot import COMPLETE, RunSnapshot, best_score
from results.tables.columns import (
    CONFIG,
    CONFIRMS,
    DEVIATION,
    HIGH,
    LOW,
    MEAN,
    OTHER,
    PROBABILITY,
    RACE,
    SCORE,
    SEEDS,
    STATE,
    STAYED,
    TRIAL,
    WON,
)
from results.tables.trials import config_names, confirmation_table, trial_table


def seed_scores(snapshot: RunSnapshot) -> dict[int, list[float]]:
    """Scores of the complete runs under fresh seeds, by the number of the trial they repeat."""
    table = confirmation_table(snapshot)
    finished = table[(table[STATE] == COMPLETE) & table[CONFIRMS].notna() & table[SCORE].notna()]
    scores: dict[int, list[float]] = {}
    for number, score in zip(finished[CONFIRMS].tolist(), finished[SCORE].tolist(), strict=True):
        scores.setdefault(number, []).append(score)
    return scores


def seed_samples(snapshot: RunSnapshot) -> dict[int, Sample]:
    """Count, mean and deviation of `seed_scores`, by the number of the trial."""
    return {number: Sample.of(scores) for number, scores in seed_scores(snapshot).items()}


def seed_table(snapshot: RunSnapshot) -> pd.DataFrame:
    """Every configuration that ran to the end under fresh seeds, the best mean first; of equal means, by number.

    Returns:
        config, trial, score (in the search), seeds, mean, deviation, low, high, race, probability.
    """
    names, samples, likely = config_names(snapshot), seed_samples(snapshot), snapshot.race.probabilities
    searched = trial_table(snapshot).set_index(TRIAL)[SCORE]
    rows = [
        {
            CONFIG: names.get(number, OTHER),
            TRIAL: number,
            SCORE: searched.get(number),
            SEEDS: sample.count,
            MEAN: sample.mean,
            DEVIATION: sample.deviation,
            **dict(zip((LOW, HIGH), score_bounds(sample), strict=True)),
            RACE: _in_race(snapshot, number),
            PROBABILITY: likely.get(number, math.nan),
        }
        for number, sample in samples.items()
    ]
    columns = [CONFIG, TRIAL, SCORE, SEEDS, MEAN, DEVIATION, LOW, HIGH, RACE, PROBABILITY]
    return pd.DataFrame(rows, columns=columns).sort_values([MEAN, TRIAL], ascending=[False, True], ignore_index=True)


def _in_race(snapshot: RunSnapshot, number: int) -> str:
    """How a trial did in the race; empty if it was not in it, or without a race."""
    race = snapshot.race
    if not race.was_run or number not in race.finalists:
        return ""
    if number in race.left:
        return f"left after {race.left[number]} seeds"
    return WON if number == race.winner else STAYED


def chosen_among(snapshot: RunSnapshot) -> int:
    """Number of configurations, besides the baseline, among which fresh seeds chose the best; 1 without a choice."""
    race = snapshot.race
    return max(1, len({*race.finalists} - {snapshot.baseline_number})) if race.was_run else 1


def improvement(snapshot: RunSnapshot) -> Interval | None:
    """The best configuration's mean over fresh seeds minus the baseline's, with its interval.

    The interval allows for the choice of the best by the same seeds, see `chosen_among`. None if there is no baseline,
    it is the best, or one of the two has fewer than two seeds.
    """
    best, baseline = snapshot.best_number, snapshot.baseline_number
    if best is None or baseline is None or best == baseline:
        return None
    samples = seed_samples(snapshot)
    first, second = (samples.get(number, Sample.of([])) for number in (best, baseline))
    if min(first.count, second.count) < ENOUGH_SEEDS:
        return None
    return difference_interval(first, second, chosen_among(snapshot))


def chance_difference(snapshot: RunSnapshot) -> float:
    """How far the scores of two single runs may differ by chance: two standard errors of their difference.

    From the spread between fresh seeds where a configuration was repeated. Otherwise from the number of validation
    questions alone, which leaves out the effect of the seed. NaN where neither is known.
    """
    spread = pooled_deviation(*seed_samples(snapshot).values())
    if not math.isnan(spread):
        return 2 * math.sqrt(2) * spread
    best, questions = snapshot.best, snapshot.settings.get("validation_questions")
    if best is None or not questions:
        return math.nan
    score = best_score(best)
    return 2 * binomial_error(score, score, questions)
