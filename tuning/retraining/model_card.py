"""Writes the README of a model folder: data, scores, intended use and how to load the model."""

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from results.preparations import DATA_PARAMETER
from results.report.choice import choice
from results.report.facts import environment_lines, searched
from results.report.markdown import inline, markdown_table
from results.report.verdict import verdict
from results.snapshot import RunSnapshot, best_epoch, best_score
from results.tables.formatting import show_percent, show_value
from san_core.data.prepared import PreparedData
from san_core.data.readers.dataset_cards import dataset_card
from san_core.templates import templates
from tuning.execution.environment import describe_environment
from tuning.retraining.plan import Job, Plan, held_out
from tuning.retraining.score_tables import (
    DEVIATION_NOTE,
    ENSEMBLE_NOTE,
    WORDS,
    by_type,
    has_ensembles,
    overall,
    show_points,
)

README = "README.md"

FILES = {
    README: "this page",
    "model.safetensors": "the weights, image encoder included",
    "model.json": "configuration, words and answers that the model is rebuilt from",
    "scores-{split}.json": "the scores of every seed, over all questions and by type",
    "predictions-{split}.parquet": "this model's answer to each {split} question, the right one, and its scores",
    "learning_curves.csv": "loss and time of every epoch of every training",
    "learning_curves.png": "the picture above",
    "vqa-results-{split}.json": "the answers as VQA's evaluation server takes them",
    "vqa-results-unanswered.json": "the same to the questions that nobody answered",
}
"""The files that a model folder can hold."""

_SHOWN_ANSWERS = 20


@dataclass(frozen=True)
class Card:
    """What the README of a model folder says, besides the scores.

    Attributes:
        record: what the search has found, as it was read for the choice of the trial.
        data: the data set that the model in the folder was trained on.
        plan: every training, and what was tested.
        asked_for: whether the user named the trial; False if it was taken because it is the best.
        tested_before: names of the models that the test split was used for before.
        running: whether the search was still running.
    """

    record: RunSnapshot
    data: PreparedData
    plan: Plan
    asked_for: bool
    tested_before: Sequence[str]
    running: bool = False

    @property
    def jobs(self) -> Sequence[Job]:
        """Every training."""
        return self.plan.jobs

    @property
    def split(self) -> str:
        """The split that was scored."""
        return self.plan.split

    @property
    def names(self) -> list[str]:
        """The configurations."""
        return list(dict.fromkeys(job.name for job in self.jobs))


def write_card(folder: Path, card: Card, scores: pd.DataFrame) -> None:
    """Writes the README of a model folder, after all its other files.

    Args:
        folder: the model folder.
        card: content besides the scores.
        scores: means and spreads of the scores, see `tuning.retraining.score_tables.spread`.
    """
    environment = templates(Path(__file__).parent, html=False)  # Markdown, where `inline` keeps any text as it is
    environment.filters["inline"] = inline
    text = environment.get_template("model_card.md.jinja").render(
        card=card,
        **_about_scores(card, scores),
        **_about_data(card),
        **_about_search(card),
        **_about_use(card),
        tested_before=", ".join(_shown(Path(model)) for model in card.tested_before),
        files={name: what for name, what in _files(card.split).items() if name == README or (folder / name).exists()},
    )
    (folder / README).write_text(text, encoding="utf-8")


def _files(split: str) -> dict[str, str]:
    return {name.format(split=split): what.format(split=split) for name, what in FILES.items()}


def _about_scores(card: Card, scores: pd.DataFrame) -> dict[str, Any]:
    """Headlines by configuration, and the tables."""
    metric = scores["metric"].iloc[0]
    rows = scores[(scores["kind"] == "all") & (scores["metric"] == metric)].set_index("configuration")
    return {
        "metric": metric,
        "headlines": {
            name: {
                "mean": show_percent(row["mean"]),
                "spread": "" if pd.isna(row["std"]) else show_points(row["std"]),
                "seeds": row["seeds"],
                "networks": row["networks"],
                "first": show_percent(row["values"][0]),
            }
            for name, row in rows.to_dict("index").items()
        },
        "overall": markdown_table(overall(scores), left=WORDS),
        "by_type": {kind: markdown_table(rows, left=WORDS) for kind, rows in by_type(scores).items()},
        "deviation_note": inline(DEVIATION_NOTE),
        "ensemble_note": ENSEMBLE_NOTE if has_ensembles(scores) else "",
        "saved": card.plan.saved[0],
        "members": len(card.plan.saved),
        "has_test_split": held_out(card.data) == "test",
    }


def _about_data(card: Card) -> dict[str, Any]:
    manifest, split = card.data.manifest, card.split
    coverage: Mapping[str, Mapping[str, Any]] = manifest["coverage"]
    rows = [
        {
            "split": name,
            "questions": f"{found['questions']:,}",
            "images": f"{found['images']:,}",
            "used for": {split: "these scores", **dict.fromkeys(card.plan.trained_on, "training")}.get(name, "–"),
        }
        for name, found in coverage.items()
    ]
    scored = coverage[split]
    return {
        "origin": dataset_card(card.data.name),
        "splits": markdown_table(pd.DataFrame(rows), left={"split", "used for"}),
        "out_of_reach": scored["questions"] - scored["known_answers"],
        "questions": scored["questions"],
        "answers": card.data.answers,
        "shown_answers": ", ".join(inline(answer) for answer in card.data.answers[:_SHOWN_ANSWERS]),
        "known_words": len(card.data.words.words),
        "encoder": inline(card.data.described_images),
    }


def _about_search(card: Card) -> dict[str, Any]:
    record, trials = card.record, {trial.number: trial for trial in card.record.search}
    return {
        "record": record,
        "trials": len(record.search),
        "metric_of_search": record.metric_title,
        "searched": searched(record),
        "verdict": _verdict(card),
        "in_the_search": {job.name: _in_the_search(trials[job.trial]) for job in card.jobs},
        **_about_configuration(
            card, list(dict.fromkeys(name for job in card.jobs for name in trials[job.trial].params))
        ),
        "environment": environment_lines(describe_environment()),
        "today": f"{datetime.now().astimezone():%Y-%m-%d}",
    }


def _verdict(card: Card) -> str:
    """What the search says of the trial that was trained; only of the best one does it know more than its score."""
    chosen, best = card.jobs[0].trial, card.record.best_number
    if best is None or chosen in (best, card.record.baseline_number):
        return " ".join([verdict(card.record), *choice(card.record)])
    return (
        f"trial {best} was the best of the search, not trial {chosen}; "
        f"whether trial {chosen} is better than the baseline was not examined."
    )


def _in_the_search(trial: FrozenTrial) -> dict[str, str]:
    return {"trial": str(trial.number), "score": show_percent(best_score(trial)), "epoch": str(best_epoch(trial))}


def _about_configuration(card: Card, searched_names: Collection[str]) -> dict[str, Any]:
    """The searched settings, a row each, with a column for each configuration; and the settings that were fixed."""
    configs = {job.name: {**job.config.to_dict(), DATA_PARAMETER: job.data} for job in card.jobs}
    rows = [
        {"setting": name, **{label: show_value(name, config[name]) for label, config in configs.items()}}
        for name in searched_names
    ]
    epochs = {"setting": "epochs trained", **{job.name: str(job.epochs) for job in card.jobs}}
    fixed = card.jobs[0].config.to_dict().items()
    return {
        "configuration": markdown_table(pd.DataFrame([*rows, epochs]), left={"setting"}),
        "fixed": ", ".join(f"{n} {show_value(n, value)}" for n, value in fixed if n not in {*searched_names, "seed"}),
    }


def _about_use(card: Card) -> dict[str, Any]:
    question = card.data.questions_of("validation")[0].text
    seeds = len({job.config.seed for job in card.jobs})
    again = f"{shlex.quote(_shown(card.record.folder.path))} --trial {card.jobs[0].trial} --seeds {seeds}"
    if card.plan.ensemble:
        again += " --ensemble" if card.split == held_out(card.data) else f" --ensemble --on {card.split}"
    return {
        "question_in_shell": shlex.quote(question),
        "question_in_python": json.dumps(question, ensure_ascii=False),
        "retrain": f"python -m tuning.retrain {again}",
    }


def _shown(path: Path) -> str:
    """A path as the card names it: from the current folder; one elsewhere, which readers do not have, by its name."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else path.name
