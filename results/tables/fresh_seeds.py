"""Results of fresh seeds: the scores of every repeated configuration, and how much scores vary by chance."""

import math

import pandas as pd

from results.snapshot import COMPLETE, RunSnapshot, best_score
from results.tables.columns import (
    CONFIG,
    CONFIRMS,
    DEVIATION,
    HIGH,
    LOW,
    MEAN,
    OTHER,
    SCORE,
    SEEDS,
    STATE,
    TRIAL,
)
from results.tables.intervals import Sample, binomial_error, pooled_deviation, score_bounds
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
        config, trial, score (in the search), seeds, mean, deviation, low, high.
    """
    names, samples = config_names(snapshot), seed_samples(snapshot)
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
        }
        for number, sample in samples.items()
    ]
    columns = [CONFIG, TRIAL, SCORE, SEEDS, MEAN, DEVIATION, LOW, HIGH]
    return pd.DataFrame(rows, columns=columns).sort_values([MEAN, TRIAL], ascending=[False, True], ignore_index=True)


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
