"""How far two scores may lie apart by chance."""

import math

from results.snapshot import Record, best_score
from results.tables.fresh_seeds import seed_samples
from results.tables.intervals import binomial_error, pooled_deviation
from results.tables.trials import best_trial


def noise(record: Record) -> float:
    """How far the scores of two single runs may lie apart by chance: two standard errors of their difference.

    From the spread between fresh seeds where some were repeated, else from the number of validation questions, which
    leaves out what a seed does. NaN where neither is known.
    """
    spread = pooled_deviation(*seed_samples(record).values())
    if not math.isnan(spread):
        return 2 * math.sqrt(2) * spread
    number, questions = best_trial(record), record.settings.get("validation_questions")
    if number is None or not questions:
        return math.nan
    score = next(best_score(trial) for trial in record.search if trial.number == number)
    return 2 * binomial_error(score, score, questions)
