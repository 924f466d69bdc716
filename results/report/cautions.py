"""What a reader must not conclude from a search's numbers."""

import math

import pandas as pd

from results.snapshot import COMPLETE, FAILED, Record, state_of
from results.tables.fresh_seeds import seed_samples
from results.tables.intervals import ENOUGH_SEEDS, Sample, difference_interval
from results.tables.noise import noise
from results.tables.trials import SCORE, STATE, TRIAL, best_trial, trial_table


def cautions(record: Record) -> list[str]:
    """One sentence for each reason to doubt that the best configuration is the best."""
    best = best_trial(record)
    if best is None:
        return []
    samples = seed_samples(record)
    sentences = (_next(record, samples), _baseline(record, best, samples), _surpassed(best, samples), _failed(record))
    return [sentence for sentence in sentences if sentence]


def _next(record: Record, samples: dict[int, Sample]) -> str:
    """On the complete trials, other than the baseline, that may be as good as the best."""
    table = trial_table(record)
    complete = table[(table[STATE] == COMPLETE) & table[SCORE].notna()]
    best, bound = complete.iloc[0], noise(record)
    others = [row for _, row in complete.iloc[1:].iterrows() if row[TRIAL] != record.baseline_trial]
    rivals = [row for row in others if _is_rival(best, row, samples, bound)]
    if not rivals:
        return ""
    who = f"Trial {rivals[0][TRIAL]}, the next," if len(rivals) == 1 else f"{len(rivals)} other complete trials"
    lie = "lies" if len(rivals) == 1 else "lie"
    return f"{who} {lie} within noise of the best, trial {best[TRIAL]}: which of them is best is not known."


def _is_rival(best: pd.Series, other: pd.Series, samples: dict[int, Sample], bound: float) -> bool:
    """Whether fresh seeds, or without them the scores in the search, leave open which is better."""
    mine, yours = samples.get(best[TRIAL]), samples.get(other[TRIAL])
    if mine and yours and min(mine.count, yours.count) >= ENOUGH_SEEDS:
        return difference_interval(mine, yours).low <= 0
    return bool(best[SCORE] - other[SCORE] <= bound)


def _baseline(record: Record, best: int, samples: dict[int, Sample]) -> str:
    if record.baseline_trial in {None, best}:
        return ""
    mine, yours = samples.get(best), samples.get(record.baseline_trial or 0)
    if not mine or not yours or min(mine.count, yours.count) < ENOUGH_SEEDS:
        return "Best and baseline were not both repeated under two or more fresh seeds: the difference is partly luck."
    low = difference_interval(mine, yours).low
    return "The best lies within noise of the baseline, or below it." if low <= 0 else ""


def _surpassed(best: int, samples: dict[int, Sample]) -> str:
    mine = samples.get(best)
    if mine is None or math.isnan(mine.mean):
        return ""
    number, leader = max(samples.items(), key=lambda item: item[1].mean)
    if leader.mean <= mine.mean:
        return ""
    return (
        f"Under fresh seeds trial {number} did better ({100 * leader.mean:.2f} %) than trial {best} "
        f"({100 * mine.mean:.2f} %), which was the best of the search."
    )


def _failed(record: Record) -> str:
    count = sum(state_of(trial) == FAILED for trial in record.search)
    return f"{count} of {len(record.search)} trials failed: what they would have scored is not known." if count else ""
