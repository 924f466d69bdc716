"""The headline numbers at the top of the HTML report: the best, the baseline and their difference."""

import math

import pandas as pd

from results.intervals import ENOUGH_SEEDS, binomial_error, confidence
from results.snapshot import RunSnapshot
from results.tables.columns import BASELINE, BEST, CONFIG, DEVIATION, MEAN, SCORE, SEEDS, TRIAL
from results.tables.formatting import show_percent
from results.tables.fresh_seeds import chosen_among, improvement
from results.tables.trials import comparison


def headline_numbers(snapshot: RunSnapshot) -> list[tuple[str, str, str]]:
    """Name, number and remark for the best, the baseline and their difference, as far as they are known.

    Means over fresh seeds if both have two or more, otherwise the scores in the search: never a mixture.
    """
    table = comparison(snapshot)
    table = table[table[SCORE].notna() | (table[SEEDS] >= ENOUGH_SEEDS)]
    if not (by_seeds := bool((table[SEEDS] >= ENOUGH_SEEDS).all())):
        table = table[table[SCORE].notna()]
    rows = {str(row[CONFIG]): row for _, row in table.iterrows()}
    numbers = [
        (f"{config}, trial {row[TRIAL]}", *(_seeds_number(row) if by_seeds else _search_number(row)))
        for config, row in rows.items()
    ]
    if {BEST, BASELINE} <= set(rows) and rows[BEST][TRIAL] != rows[BASELINE][TRIAL]:
        numbers.append(("difference", *_difference(snapshot, rows[BEST], rows[BASELINE])))
    return numbers


def _seeds_number(row: pd.Series) -> tuple[str, str]:
    spread = f"s.d. {100 * row[DEVIATION]:.2f} points"
    searched = "not finished" if math.isnan(row[SCORE]) else show_percent(row[SCORE])
    return show_percent(row[MEAN]), f"mean of {row[SEEDS]} fresh seeds, {spread}; {searched} in the search"


def _search_number(row: pd.Series) -> tuple[str, str]:
    return show_percent(row[SCORE]), "one run, in the search"


def _difference(snapshot: RunSnapshot, best: pd.Series, baseline: pd.Series) -> tuple[str, str]:
    if found := improvement(snapshot):
        level = f"{100 * confidence(chosen_among(snapshot)):.3g} %"
        bounds = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
        return f"{100 * found.middle:+.2f} points", f"{level} interval {bounds}"
    difference, questions = best[SCORE] - baseline[SCORE], snapshot.settings.get("validation_questions")
    if not questions:
        return f"{100 * difference:+.2f} points", "one run each, in the search"
    error = 2 * binomial_error(best[SCORE], baseline[SCORE], questions)
    return f"{100 * difference:+.2f} points", f"one run each, ± {100 * error:.2f} by chance of the questions alone"
