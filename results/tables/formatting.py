"""Tables and numbers as text for people: rounded, with units."""

import pandas as pd

from results.tables.columns import (
    BEST_EPOCH,
    CONFIG,
    DEVIATION,
    DIFFERENCE,
    EPOCHS,
    HIGH,
    LOW,
    MEAN,
    RACE,
    RANK,
    REASON,
    SCORE,
    SECONDS,
    SEED,
    SEEDS,
    STATE,
    TRIAL,
)
from results.tables.trials import parameter_columns

NO_DECIMALS_FROM = 1e3
"""From here on numbers are shown without decimals; three significant digits would drop whole ones."""


def show_trials(table: pd.DataFrame) -> pd.DataFrame:
    """A trial table as text: scores in %, differences in points, times in hours, minutes and seconds."""
    return pd.DataFrame(
        {
            RANK: [show_count(value) for value in table[RANK]],
            TRIAL: [show_count(value) for value in table[TRIAL]],
            **{name: show_parameter(name, table[name]) for name in parameter_columns(table)},
            SCORE: [show_percent(value) for value in table[SCORE]],
            DIFFERENCE: ["" if pd.isna(value) else f"{100 * value:+.2f}" for value in table[DIFFERENCE]],
            BEST_EPOCH: [show_count(value) for value in table[BEST_EPOCH]],
            EPOCHS: [show_count(value) for value in table[EPOCHS]],
            SECONDS: ["" if pd.isna(value) else show_duration(value) for value in table[SECONDS]],
            SEED: [show_count(value) for value in table[SEED]],
            STATE: list(table[STATE]),
            REASON: list(table[REASON]),
        },
        dtype="str",
    )


def show_comparison(table: pd.DataFrame, metric_title: str) -> pd.DataFrame:
    """A comparison as text, transposed: a row for each parameter and number, a column for each configuration."""
    rows = {
        "trial": [show_count(value) for value in table[TRIAL]],
        **{name: show_parameter(name, table[name]) for name in parameter_columns(table)},
        f"{metric_title} in the search": [show_percent(value) for value in table[SCORE]],
        "fresh seeds": [show_count(value) for value in table[SEEDS]],
        f"mean {metric_title} over fresh seeds": [show_percent(value) for value in table[MEAN]],
        "standard deviation (points)": ["" if pd.isna(value) else f"{100 * value:.2f}" for value in table[DEVIATION]],
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(table[CONFIG]), dtype="str")


def show_seeds(table: pd.DataFrame, metric_title: str) -> pd.DataFrame:
    """A table of fresh seeds as text; `race` only if there was one."""
    bounds = zip(table[LOW], table[HIGH], strict=True)
    shown = pd.DataFrame(
        {
            CONFIG: list(table[CONFIG]),
            TRIAL: [show_count(value) for value in table[TRIAL]],
            f"{metric_title} in the search": [show_percent(value) for value in table[SCORE]],
            SEEDS: [show_count(value) for value in table[SEEDS]],
            MEAN: [show_percent(value) for value in table[MEAN]],
            "95 % interval": ["" if pd.isna(low) else f"{100 * low:.2f} to {100 * high:.2f} %" for low, high in bounds],
            RACE: list(table[RACE]),
        },
        dtype="str",
    )
    return shown if any(table[RACE]) else shown.drop(columns=RACE)


def show_parameter(name: str, values: pd.Series) -> list[str]:
    """A column of a parameter's values as text; empty where a trial lacks the parameter."""
    return ["" if pd.isna(value) else show_value(name, value) for value in values]


def show_value(name: str, value: object) -> str:
    """A parameter's value as text: learning rates as 4.0e-04, other floats to three significant digits."""
    if not isinstance(value, float):
        return str(value)
    if name.endswith("learning_rate"):
        return f"{value:.1e}"
    return f"{value:.0f}" if abs(value) >= NO_DECIMALS_FROM else f"{value:.3g}"


def show_percent(score: float) -> str:
    """A score in [0, 1] as a percentage; empty for NaN."""
    return "" if pd.isna(score) else f"{100 * score:.2f} %"


def show_count(value: int | None) -> str:
    """A whole number as text; empty if it is missing."""
    return "" if pd.isna(value) else str(value)


def show_duration(seconds: float) -> str:
    """A duration in its two largest units; below ten seconds, in seconds with one decimal."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def show_bytes(size: int) -> str:
    """A size in bytes, KB (1000 bytes), MB, GB or TB."""
    units = ["bytes", "KB", "MB", "GB", "TB"]
    power = min(len(units) - 1, max(0, (len(str(size)) - 1) // 3))
    return f"{size} bytes" if power == 0 else f"{size / 1000**power:.3g} {units[power]}"
