"""The report as one HTML file that needs no other file and no internet access."""

import base64
import gzip
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from results.plots.fresh_seeds import fresh_seeds_plot
from results.plots.palette import CSS_VARIABLES
from results.plots.plot import Plot
from results.plots.search_plots import search_plots
from results.plots.slices import slice_plots
from results.plots.timeline import timeline_plot
from results.report.attention_examples import load_attention_examples
from results.report.cautions import cautions
from results.report.choice import choice
from results.report.facts import (
    count_lines,
    environment_lines,
    failures_by_reason,
    range_table,
    report_title,
    score_note,
    searched,
    setting_lines,
)
from results.report.findings import findings
from results.report.headline_numbers import headline_numbers
from results.report.markdown import HEADINGS
from results.report.verdict import verdict
from results.snapshot import RunSnapshot
from results.tables.columns import SCORE, STATE, TRIAL
from results.tables.costs import device_hours, disk_sizes, time_spent
from results.tables.formatting import show_bytes, show_comparison, show_duration, show_seeds, show_trials
from results.tables.fresh_seeds import seed_table
from results.tables.importance import importance
from results.tables.trials import comparison, config_names, trial_table
from san_core.files import shown
from san_core.templates import templates

TEMPLATES = Path(__file__).with_name("templates")


PAGE = 200
"""Rows of the table of trials that are shown at a time: a browser takes seconds to lay out thousands."""


def html_report(snapshot: RunSnapshot) -> str:
    """The HTML report of a search."""
    shares, trials = importance(snapshot), trial_table(snapshot)
    plots, slices = search_plots(snapshot, shares), slice_plots(snapshot)
    timeline, seeds = timeline_plot(snapshot), fresh_seeds_plot(snapshot)
    sizes, rows = disk_sizes(snapshot.folder), trial_rows(snapshot, trials)
    return render_template(
        "run.html",
        title=report_title(snapshot),
        snapshot=snapshot,
        stats=headline_numbers(snapshot),
        verdict=verdict(snapshot),
        cautions=cautions(snapshot),
        findings=[*choice(snapshot), *findings(snapshot, shares)],
        searched=searched(snapshot),
        counts=count_lines(snapshot),
        next_commands=[
            f"python -m tuning.retrain {shlex.quote(snapshot.folder.shown)}",
            f"python -m san_core.demo {shlex.quote(shown(snapshot.folder.retrained / 'best'))}",
        ],
        compared=show_comparison(comparison(snapshot), snapshot.metric_title),
        score_note=score_note(snapshot),
        ranges=range_table(snapshot),
        plots=plots,
        slices=slices,
        timeline=timeline,
        seeds=seeds,
        seed_table=show_seeds(seed_table(snapshot), snapshot.metric_title),
        attention_examples=load_attention_examples(snapshot.folder),
        columns=[(HEADINGS | {SCORE: snapshot.metric_title}).get(name, name) for name in trials.columns],
        trials=rows[:PAGE],
        trial_count=len(rows),
        page=PAGE,
        rows=packed(json.dumps(rows, default=float)) if len(rows) > PAGE else "",
        costs=cost_rows(snapshot),
        device_hours=device_hours(snapshot),
        sizes=[(name, show_bytes(size)) for name, size in sizes.items()],
        size=show_bytes(sum(sizes.values())),
        failures=failures_by_reason(snapshot),
        settings=setting_lines(snapshot),
        environment=environment_lines(snapshot.environment),
        command=snapshot.settings.get("command", ""),
        data=figure_data([*plots, *slices, *(plot for plot in (timeline, seeds) if plot)]),
    )


def render_template(template: str, **context: Any) -> str:  # noqa: ANN401 - values are of many types
    """Renders a template of this package; everything but the page's own style and script is escaped."""
    environment = templates(TEMPLATES)
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    variables = " ".join(f"--{name}: {color};" for name, color in CSS_VARIABLES.items())
    inlined = {
        "style": Markup(f":root {{ {variables} }}\n{style}"),
        "script": Markup(script),
        "plotly": packed(get_plotlyjs()),
    }  # noqa: S704
    return environment.get_template(template).render(**inlined, **context)


def figure_data(plots: Sequence[Plot]) -> str:
    """The figures' data and layouts, by the key of their plot: JSON, packed."""
    return packed(json.dumps({plot.key: json.loads(plot.figure.to_json()) for plot in plots}, separators=(",", ":")))


def packed(text: str) -> str:
    """A text as the page's script unpacks it: compressed by gzip, in base64."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def trial_rows(snapshot: RunSnapshot, trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Each trial's cells (text and the value it is sorted by), state, config and the command that reproduces it."""
    shown, names = show_trials(trials), config_names(snapshot)
    folder = shlex.quote(snapshot.folder.shown)
    rows = []
    for (_, raw), texts in zip(trials.iterrows(), shown.itertuples(index=False), strict=True):
        number = raw[TRIAL]
        cells = [(text, "" if pd.isna(value) else value) for text, value in zip(texts, raw, strict=True)]
        command = f"python -m tuning.retrain {folder} --trial {number} --check"
        rows.append({"cells": cells, "state": raw[STATE], "config": names.get(number, ""), "command": command})
    return rows


def cost_rows(snapshot: RunSnapshot) -> list[dict[str, Any]]:
    """What the time was used for: name, duration, share in %, and whether it was useful; without uses of no time."""
    costs = time_spent(snapshot)
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
