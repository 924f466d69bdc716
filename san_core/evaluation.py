"""Predicts the answers to a split and scores them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from san_core.data.prepared import PreparedData, Split
from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.hardware import autocast, one_thread_if_forked
from san_core.metrics import Metric, get_metric, group_scores
from san_core.models.ensemble import Ensemble, ensemble_logits
from san_core.models.san import SAN, most_probable

_BATCH = 256
_BATCH_OF_PIXELS = 32

_LARGEST_TABLE = 10**7
"""Most pairs of a question and an answer whose scores are kept, 8 bytes each."""


@dataclass(frozen=True)
class Predictions:
    """A network's most probable answer to each question of a split.

    Attributes:
        answers: texts of the answers [Q].
        probabilities: probabilities of these answers, in [0, 1] [Q].
    """

    answers: list[str]
    probabilities: NDArray[np.float32]


def objective_metric(data: PreparedData, name: str | None = None) -> Metric:
    """Returns the metric called `name` for scoring trials; None takes the data set's main metric.

    Raises:
        InputError: if the name is unknown, the metric does not fit the data, or its files are missing.
    """
    metric = get_metric(name or data.metrics[0])
    questions = data.questions_of("validation")
    if metric.name == "vqa" and not any(len(question.answers) > 1 for question in questions):
        raise InputError(f"metric vqa needs several people's answers to a question, but {data.name} has none")
    metric.score([data.answers[0]], questions[:1])  # raises now if WordNet is missing, not after the first epoch
    return metric


@dataclass(frozen=True)
class Objective:
    """What a network is scored by after each epoch.

    Attributes:
        data: the data set.
        metric: that is computed.
        split: that is scored; None if none is.
    """

    data: PreparedData
    metric: Metric
    split: str | None

    def score(self, answers: Sequence[str]) -> NDArray[np.float64]:
        """The scores of answers to the questions of the split, each in [0, 1] [Q].

        Raises:
            ValueError: if no split is scored.
        """
        if self.split is None:
            raise ValueError("no split is scored")
        return np.asarray(self.metric.score(answers, self.data.questions_of(self.split)), dtype=np.float64)

    def score_members(self, answers: NDArray[np.int32]) -> list[NDArray[np.float64]]:
        """The scores of each member's answers [Q], given by their numbers [W, Q].

        The score of an answer to a question is worked out once and kept, since members often agree.

        Raises:
            ValueError: if no split is scored.
        """
        if answers.shape[1] * len(self.data.answers) > _LARGEST_TABLE:
            return [self.score([self.data.answers[number] for number in own]) for own in answers]
        table, questions = self._table, np.broadcast_to(np.arange(answers.shape[1]), answers.shape)
        unknown = np.isnan(table[questions, answers])
        pairs = np.unique(np.stack([questions[unknown], answers[unknown]]), axis=1)
        asked = self.data.questions_of(self.split or "")
        for question, answer in pairs.T:
            table[question, answer] = self.metric.score_one(self.data.answers[answer], asked[question])
        return list(table[questions, answers])

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        """Score of each answer to each question [Q, A]; nan until it is known."""
        if self.split is None:
            raise ValueError("no split is scored")
        return np.full((len(self.data.questions_of(self.split)), len(self.data.answers)), np.nan)


def predict_split(model: SAN | Ensemble, data: PreparedData, split: Split, precision: str = "auto") -> Predictions:
    """Predicts the most probable answer to each question of the split."""
    return predict_together([model], data, split, precision)[0]


@one_thread_if_forked()
@torch.inference_mode()
def predict_together(
    models: Sequence[SAN | Ensemble], data: PreparedData, split: Split, precision: str = "auto"
) -> list[Predictions]:
    """Predicts the answers of several networks to a split, which is read once.

    Args:
        models: the networks, on one device.
        data: the data set.
        split: the questions.
        precision: see `TrainingConfig`.

    Returns:
        The predictions of each network; of several, then those of their ensemble.
    """
    device = next(models[0].parameters()).device
    size = _BATCH_OF_PIXELS if data.fine_tune else _BATCH
    found: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
    for model in models:
        model.eval()
    for start in range(0, len(split), size):
        inputs = data.batch(split, np.arange(start, min(start + size, len(split)))).to(device).inputs
        with autocast(device, precision):
            logits = [model(*inputs) for model in models]
        if len(models) > 1:
            logits.append(ensemble_logits(logits))
        found.append([most_probable(each) for each in logits])
    return [_join(batches, data) for batches in zip(*found, strict=True)]


def _join(batches: Sequence[tuple[torch.Tensor, torch.Tensor]], data: PreparedData) -> Predictions:
    """The predictions of one network, from numbers and probabilities of the answers [B, 1] of each batch."""
    numbers, probabilities = (torch.cat(parts)[:, 0].cpu().numpy() for parts in zip(*batches, strict=True))
    return Predictions([data.answers[number] for number in numbers], probabilities)


def write_predictions(
    path: Path, predictions: Predictions, questions: Sequence[Question], metrics: Sequence[Metric]
) -> None:
    """Writes a Parquet file with one row per question: the question, its right and its predicted answer, the scores."""
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
    """Writes answers in the format of VQA's evaluation server: a JSON list of question_id and answer."""
    pairs = zip(questions, predictions.answers, strict=True)
    path.write_text(json.dumps([{"question_id": q.id, "answer": answer} for q, answer in pairs]), encoding="utf-8")


@dataclass(frozen=True)
class Score:
    """The mean score of a network's answers to a group of questions.

    Attributes:
        metric: title of the metric.
        kind: `all`, `answer type` or `question type`.
        group: name of the type.
        questions: number of questions in the group.
        mean: score over the group, in [0, 1].
    """

    metric: str
    kind: str
    group: str
    questions: int
    mean: float


def usable_metrics(data: PreparedData) -> tuple[list[Metric], list[str]]:
    """The metrics reported in the literature that can be computed here, and why the others cannot."""
    usable, reasons = [], []
    for name in data.metrics:
        try:
            usable.append(objective_metric(data, name))
        except InputError as error:
            reasons.append(f"{name} is left out: {error}")
    return usable, reasons


def evaluate(predictions: Predictions, questions: Sequence[Question], metrics: Sequence[Metric]) -> list[Score]:
    """Scores predictions with every metric, over all questions and over each type of question."""
    return [
        Score(metric.title, group.kind, group.name, group.questions, group.mean)
        for metric in metrics
        for group in group_scores(metric.score(predictions.answers, questions), questions)
    ]
