"""A network's answers to a split, and how good they are."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from san_core.data.prepared import PreparedData, Split
from san_core.data.source import Question
from san_core.errors import InputError
from san_core.hardware import autocast
from san_core.metrics import Metric, breakdown, metric_called
from san_core.models.san import SAN

_BATCH = 256
_BATCH_OF_PIXELS = 32


@dataclass(frozen=True)
class Predictions:
    """A network's likeliest answer to each question of a split.

    Attributes:
        answers: in words [Q].
        probabilities: the network gives them, in [0, 1] [Q].
    """

    answers: list[str]
    probabilities: NDArray[np.float32]


def objective(data: PreparedData, name: str | None = None) -> Metric:
    """The metric called `name`, None for the one the data set's literature leads with.

    Raises:
        InputError: for an unknown name, a metric that does not fit the data, or one whose files are missing.
    """
    metric = metric_called(name or data.metrics[0])
    questions = data.asked("validation")
    if metric.name == "vqa" and not any(len(question.answers) > 1 for question in questions):
        raise InputError(f"metric vqa needs several people's answers to a question, which {data.name} lacks")
    metric.score([data.answers[0]], questions[:1])  # tells now if WordNet is missing, not after the first epoch
    return metric


@torch.inference_mode()
def predict_split(model: SAN, data: PreparedData, split: Split, precision: str = "auto") -> Predictions:
    """The likeliest answer to each of the split's questions."""
    model.eval()
    device = next(model.parameters()).device
    size = _BATCH_OF_PIXELS if data.fine_tune else _BATCH
    numbers, probabilities = [], []
    for start in range(0, len(split), size):
        rows = np.arange(start, min(start + size, len(split)))
        with autocast(device, precision):
            logits = model(*data.batch(split, rows).to(device).inputs)
        likeliest = logits.float().softmax(dim=1).max(dim=1)
        numbers.append(likeliest.indices.cpu().numpy())
        probabilities.append(likeliest.values.cpu().numpy())
    answers = [data.answers[number] for number in np.concatenate(numbers)]
    return Predictions(answers, np.concatenate(probabilities))


def write_predictions(
    path: Path, predictions: Predictions, questions: Sequence[Question], metrics: Sequence[Metric]
) -> None:
    """Writes a Parquet file with a row per question: what was asked, what is right, what was answered, the scores."""
    columns = {
        "id": [str(question.id) for question in questions],
        "image": [question.image for question in questions],
        "question": [question.text for question in questions],
        "answer": [question.answer for question in questions],
        "answer_type": [question.answer_type for question in questions],
        "question_type": [question.question_type for question in questions],
        "predicted": predictions.answers,
        "probability": predictions.probabilities,
        **{metric.name: metric.score(predictions.answers, questions) for metric in metrics},
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


def write_official_results(path: Path, predictions: Predictions, questions: Sequence[Question]) -> None:
    """Writes answers as VQA's evaluation server takes them: a JSON list of question_id and answer."""
    pairs = zip(questions, predictions.answers, strict=True)
    path.write_text(json.dumps([{"question_id": q.id, "answer": answer} for q, answer in pairs]), encoding="utf-8")


@dataclass(frozen=True)
class Score:
    """How good a network's answers to a group of questions are.

    Attributes:
        metric: its title.
        kind: `all`, `answer type` or `question type`.
        group: name of the type.
        questions: in the group.
        mean: score over the group, in [0, 1].
    """

    metric: str
    kind: str
    group: str
    questions: int
    mean: float


def usable_metrics(data: PreparedData) -> tuple[list[Metric], list[str]]:
    """The metrics the data set's literature reports, and why any of them cannot be computed here."""
    usable, reasons = [], []
    for name in data.metrics:
        try:
            usable.append(objective(data, name))
        except InputError as error:
            reasons.append(f"{name} is left out: {error}")
    return usable, reasons


def evaluate(predictions: Predictions, questions: Sequence[Question], metrics: Sequence[Metric]) -> list[Score]:
    """Scores by every metric, over all questions and over each type of them."""
    return [
        Score(metric.title, group.kind, group.name, group.questions, group.mean)
        for metric in metrics
        for group in breakdown(metric.score(predictions.answers, questions), questions)
    ]
