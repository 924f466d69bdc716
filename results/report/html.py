"""The report as one HTML file that needs nothing else: no other file, no network."""

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from results.plots.comparison_plots import seeds_plot
from results.plots.plot_style import Plot
from results.plots.search_plots import search_plots
from results.report.cautions import cautions
from results.report.facts import (
    CAUTION,
    count_lines,
    environment_lines,
    failures_by_reason,
    headline,
    range_table,
    searched,
    setting_lines,
)
from results.report.findings import findings
from results.report.gallery import pictures
from results.report.markdown import HEADINGS
from results.report.verdict import verdict
from results.snapshot import Record, Source, read
from results.tables.costs import device_hours, disk_sizes, time_spent
from results.tables.formatting import show_bytes, show_comparison, show_duration, show_percent, show_seeds, show_trials
from results.tables.fresh_seeds import seed_samples, seed_table
from results.tables.importance import importance
from results.tables.intervals import ENOUGH_SEEDS, binomial_error, difference_interval
from results.tables.trials import (
    BASELINE,
    BEST,
    CONFIG,
    DEVIATION,
    MEAN,
    SCORE,
    SEEDS,
    STATE,
    TRIAL,
    comparison,
    config_names,
    trial_table,
)

TEMPLATES = Path(__file__).with_name("templates")


def page(run: Source) -> str:
    """The report of a search.

    Raises:
        InputError: if the folder cannot be read.
    """
    record = read(run)
    shares, trials = importance(record), trial_table(record)
    figures, fresh = search_plots(record, shares), seed_table(record)
    seeds = [] if fresh.empty else [Plot("seeds", "Fresh seeds", "", seeds_plot(record), wide=True)]
    sizes = disk_sizes(record.folder)
    return render(
        "run.html",
        title=headline(record),
        record=record,
        stats=headline_numbers(record),
        verdict=verdict(record),
        cautions=cautions(record),
        findings=findings(record, shares),
        searched=searched(record),
        counts=count_lines(record),
        compared=show_comparison(comparison(record), record.metric_title),
        caution=CAUTION.format(metric=record.metric_title),
        ranges=range_table(record),
        plots=[plot for plot in figures if not plot.key.startswith("slice-") and plot.key != "timeline"],
        slices=[plot for plot in figures if plot.key.startswith("slice-")],
        timeline=[plot for plot in figures if plot.key == "timeline"],
        seeds=seeds,
        fresh=show_seeds(fresh, record.metric_title),
        pictures=pictures(record.folder),
        columns=[(HEADINGS | {SCORE: record.metric_title}).get(name, name) for name in trials.columns],
        trials=trial_rows(record, trials),
        costs=cost_rows(record),
        device_hours=device_hours(record),
        sizes=[(name, show_bytes(size)) for name, size in sizes.items()],
        size=show_bytes(sum(sizes.values())),
        failures=failures_by_reason(record),
        settings=setting_lines(record),
        environment=environment_lines(record),
        command=record.settings.get("command", ""),
        data=figure_data([*figures, *seeds]),
    )


def render(template: str, **context: Any) -> str:  # noqa: ANN401 - a template takes values of many types
    """Fills a template of this package; everything but the page's own style and script is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    inlined = {"style": Markup(style), "script": Markup(script), "plotly": Markup(get_plotlyjs())}  # noqa: S704
    return environment.get_template(template).render(**inlined, **context)


def figure_data(figures: Sequence[Plot]) -> Markup:
    """The figures' data and layouts as JSON that can stand in a script element."""
    data = {plot.key: json.loads(plot.figure.to_json()) for plot in figures}
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))  # noqa: S704


def headline_numbers(record: Record) -> list[tuple[str, str, str]]:
    """What stands largest on the page: name, figure and remark for the best, the baseline and their difference.

    Means over fresh seeds where every one of them has two or more, else scores in the search: never a mixture.
    """
    table = comparison(record)
    table = table[table[SCORE].notna() | (table[SEEDS] >= ENOUGH_SEEDS)]
    if not (by_seeds := bool((table[SEEDS] >= ENOUGH_SEEDS).all())):
        table = table[table[SCORE].notna()]
    rows = {str(row[CONFIG]): row for _, row in table.iterrows()}
    numbers = [
        (f"{config}, trial {row[TRIAL]}", *(_fresh(row) if by_seeds else _searched(row)))
        for config, row in rows.items()
    ]
    if {BEST, BASELINE} <= set(rows) and rows[BEST][TRIAL] != rows[BASELINE][TRIAL]:
        numbers.append(("difference", *_difference(record, rows[BEST], rows[BASELINE], by_seeds=by_seeds)))
    return numbers


def _fresh(row: pd.Series) -> tuple[str, str]:
    spread = f"s.d. {100 * row[DEVIATION]:.2f} points"
    searched = "not finished" if math.isnan(row[SCORE]) else show_percent(row[SCORE])
    return show_percent(row[MEAN]), f"mean of {row[SEEDS]} fresh seeds, {spread}; {searched} in the search"


def _searched(row: pd.Series) -> tuple[str, str]:
    return show_percent(row[SCORE]), "one run, in the search"


def _difference(record: Record, best: pd.Series, baseline: pd.Series, *, by_seeds: bool) -> tuple[str, str]:
    if by_seeds:
        samples = seed_samples(record)
        found = difference_interval(samples[best[TRIAL]], samples[baseline[TRIAL]])
        return f"{100 * found.middle:+.2f} points", f"95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}"
    difference, questions = best[SCORE] - baseline[SCORE], record.settings.get("validation_questions")
    if not questions:
        return f"{100 * difference:+.2f} points", "one run each, in the search"
    error = 2 * binomial_error(best[SCORE], baseline[SCORE], questions)
    return f"{100 * difference:+.2f} points", f"one run each, ± {100 * error:.2f} by chance of the questions alone"


def trial_rows(record: Record, trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Each trial's cells (text and the value it is sorted by), state, config and the command that reproduces it."""
    shown, names = show_trials(trials), config_names(record)
    folder = shlex.quote(str(record.folder.path))
    rows = []
    for (_, raw), texts in zip(trials.iterrows(), shown.itertuples(index=False), strict=True):
        number = raw[TRIAL]
        cells = [(text, "" if pd.isna(value) else value) for text, value in zip(texts, raw, strict=True)]
        command = f"python -m tuning.retrain {folder} --trial {number} --check"
        rows.append({"cells": cells, "state": raw[STATE], "config": names.get(number, ""), "command": command})
    return rows


def cost_rows(record: Record) -> list[dict[str, Any]]:
    """Where the time went: name, length in words, share in % and whether it was useful; without what took none."""
    costs = time_spent(record)
    total = sum(cost.seconds for cost in costs)
    return [
        {
            "name": cost.name,
            "time": show_duration(cost.seconds),
            "share": 100 * cost.seconds / total,
            "useful": cost.useful,
        }
        for cost in costs
        if cost.seconds > 0
    ]
