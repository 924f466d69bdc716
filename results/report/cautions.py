"""Cautions: what a reader must not conclude from a search's numbers."""

import math

import pandas as pd

from results.intervals import ENOUGH_SEEDS, Sample, difference_interval
from results.snapshot import COMPLETE, FAILED, RunSnapshot, state_of
from results.tables.columns import SCORE, STATE, TRIAL
from results.tables.fresh_seeds import chance_difference, improvement, seed_samples
from results.tables.trials import trial_table


def cautions(snapshot: RunSnapshot) -> list[str]:
    """One sentence for each reason to doubt that the best trial has the best configuration."""
    best = snapshot.best_number
    if best is None:
        return []
    samples = seed_samples(snapshot)
    sentences = (
        _rivals(snapshot, samples),
        _baseline(snapshot, best),
        _surpassed(best, samples),
        _failed(snapshot),
    )
    return [sentence for sentence in sentences if sentence]


def _rivals(snapshot: RunSnapshot, samples: dict[int, Sample]) -> str:
    """Says which complete trials, other than the baseline, may be as good as the best."""
    table = trial_table(snapshot)
    complete = table[(table[STATE] == COMPLETE) & table[SCORE].notna()]
    rows = {row[TRIAL]: row for _, row in complete.iterrows()}
    best, bound = rows.pop(snapshot.best_number), chance_difference(snapshot)
    others = [row for number, row in rows.items() if number != snapshot.baseline_number]
    rivals = [row for row in others if _is_rival(best, row, samples, bound)]
    if not rivals:
        return ""
    who = f"Trial {rivals[0][TRIAL]}" if len(rivals) == 1 else f"{len(rivals)} other complete trials"
    lie = "lies" if len(rivals) == 1 else "lie"
    return f"{who} {lie} within noise of the best, trial {best[TRIAL]}: which of them is best is not known."


def _is_rival(best: pd.Series, other: pd.Series, samples: dict[int, Sample], bound: float) -> bool:
    """Whether it is open which of two trials is better: by fresh seeds of both, else by their scores in the search."""
    of_best, of_other = samples.get(best[TRIAL]), samples.get(other[TRIAL])
    if of_best and of_other and min(of_best.count, of_other.count) >= ENOUGH_SEEDS:
        return difference_interval(of_best, of_other).low <= 0
    return bool(best[SCORE] - other[SCORE] <= bound)


def _baseline(snapshot: RunSnapshot, best: int) -> str:
    """Says that the best may be no better than the baseline, or that fresh seeds are missing to know."""
    if snapshot.baseline_number in {None, best}:
        return ""
    difference = improvement(snapshot)
    if difference is None:
        return "Best and baseline were not both repeated under two or more fresh seeds: the difference is partly luck."
    return "The best lies within noise of the baseline, or below it." if difference.low <= 0 else ""


def _surpassed(best: int, samples: dict[int, Sample]) -> str:
    """Says that another trial did better under fresh seeds."""
    of_best = samples.get(best)
    if of_best is None or math.isnan(of_best.mean):
        return ""
    number, leader = max(samples.items(), key=lambda item: (item[1].mean, -item[0]))
    if leader.mean <= of_best.mean:
        return ""
    return (
        f"Under fresh seeds trial {number} did better ({100 * leader.mean:.2f} %) than trial {best} "
        f"({100 * of_best.mean:.2f} %), which was chosen as the best."
    )


def _failed(snapshot: RunSnapshot) -> str:
    count = sum(state_of(trial) == FAILED and trial.number not in snapshot.repeats for trial in snapshot.search)
    return (
        f"{count} of {len(snapshot.search)} trials failed: what they would have scored is not known." if count else ""
    )
