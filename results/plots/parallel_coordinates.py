"""The axes of the parallel coordinates: score first, then a hyperparameter each."""

import math
from typing import Any

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from results.snapshot import Record
from results.tables.formatting import show_value
from results.tables.trials import SCORE, TRIAL

TICKS = 5
"""Ticks of a numeric axis."""


def axes(record: Record, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Plotly's dimensions: label, values, range and ticks, each with a value for every row of the table.

    A logarithmic axis holds logarithms, one of choices their numbers; the ticks say what they stand for. A
    hyperparameter that only some trials have is left out, since its lines would have gaps.

    Args:
        record: of the search.
        table: trials with a score.
    """
    score = {"label": record.metric_title, "values": table[SCORE].tolist(), "tickformat": ".0%"}
    kinds = {name: kind for trial in record.search for name, kind in trial.distributions.items()}
    params = {trial.number: trial.params for trial in record.search}
    rows = [params[number] for number in table[TRIAL]]
    shared = {name: kind for name, kind in kinds.items() if all(name in row for row in rows)}
    return [score, *(_axis(name, kind, [row[name] for row in rows]) for name, kind in shared.items())]


def _axis(name: str, kind: BaseDistribution, values: list[Any]) -> dict[str, Any]:
    if isinstance(kind, CategoricalDistribution):
        numbers = [kind.choices.index(value) for value in values]
        ticks = list(range(len(kind.choices)))
        texts = [str(choice) for choice in kind.choices]
        return {
            "label": name,
            "values": numbers,
            "tickvals": ticks,
            "ticktext": texts,
            "range": [0, max(1, len(ticks) - 1)],
        }
    if isinstance(kind, FloatDistribution | IntDistribution) and kind.log:
        ends = math.log10(kind.low), math.log10(kind.high)
        ticks = np.linspace(*ends, TICKS).tolist()
        texts = [show_value(name, _whole(kind, 10**tick)) for tick in ticks]
        return {
            "label": name,
            "values": [math.log10(value) for value in values],
            "tickvals": ticks,
            "ticktext": texts,
            "range": list(ends),
        }
    return {"label": name, "values": values}


def _whole(kind: BaseDistribution, value: float) -> float | int:
    return round(value) if isinstance(kind, IntDistribution) else value
