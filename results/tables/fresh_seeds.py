"""What fresh seeds say of every configuration that was repeated."""

import pandas as pd

from results.snapshot import COMPLETE, Source, read
from results.tables.intervals import Sample, score_bounds
from results.tables.trials import (
    CONFIG,
    CONFIRMED,
    DEVIATION,
    MEAN,
    OTHER,
    SCORE,
    SEEDS,
    STATE,
    TRIAL,
    config_names,
    confirmation_table,
    trial_table,
)

LOW, HIGH = "low", "high"
"""Ends of the 95 % interval of the mean (Student's), as scores; missing for fewer than two seeds."""


def seed_scores(run: Source) -> dict[int, list[float]]:
    """Scores of the complete runs under fresh seeds, by the number of the trial they repeat."""
    table = confirmation_table(run)
    finished = table[(table[STATE] == COMPLETE) & table[CONFIRMED].notna() & table[SCORE].notna()]
    scores: dict[int, list[float]] = {}
    for number, score in zip(finished[CONFIRMED].tolist(), finished[SCORE].tolist(), strict=True):
        scores.setdefault(number, []).append(score)
    return scores


def seed_samples(run: Source) -> dict[int, Sample]:
    """As `seed_scores`, in three numbers each."""
    return {number: Sample.of(scores) for number, scores in seed_scores(run).items()}


def seed_table(run: Source) -> pd.DataFrame:
    """Every configuration that ran to the end under fresh seeds, the best mean first.

    Returns:
        config, trial, score (in the search), seeds, mean, deviation, low, high.
    """
    record = read(run)
    names, samples = config_names(record), seed_samples(record)
    searched = trial_table(record).set_index(TRIAL)[SCORE]
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
