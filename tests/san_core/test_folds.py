"""Folds: which questions are in which, and what trainings on all of them say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.folds import Fold, FoldedTraining, new_training
from san_core.question_scores import QuestionScores
from san_core.training import EpochResult, Training

FOLDS = 3


@pytest.fixture
def config(tiny_config: TrainingConfig) -> TrainingConfig:
    return replace(tiny_config, epochs=2, seed=5, order_seed=7)


def _name(question: Question) -> str:
    return f"{question.image} {question.text}"


def test_each_question_validates_once_and_images_are_not_divided(tiny_data: PreparedData) -> None:
    every = sorted(_name(q) for name in ("train", "validation") for q in tiny_data.questions_of(name))
    folds = [Fold(tiny_data, number, FOLDS, seed=7) for number in range(FOLDS)]
    assert sorted(_name(q) for fold in folds for q in fold.questions_of("validation")) == every
    sizes = []
    for fold in folds:
        train, validation = (fold.split(name) for name in ("train", "validation"))
        assert sorted(_name(q) for name in ("train", "validation") for q in fold.questions_of(name)) == every
        assert not set(train.images) & set(validation.images)
        assert len(train) == fold.manifest["counts"]["train"] == len(fold.questions_of("train"))
        assert len(validation) == fold.manifest["counts"]["validation"]
        sizes.append(len(set(validation.images)))
        answers = [fold.answers[number] for number in validation.answers]
        assert answers == [question.answer for question in fold.questions_of("validation")]
        assert [_name(q) for q in fold.questions_of("test")] == [_name(q) for q in tiny_data.questions_of("test")]
    assert max(sizes) - min(sizes) <= 1


def test_the_division_follows_from_the_seed(tiny_data: PreparedData) -> None:
    def division(seed: int) -> list[str]:
        return [_name(question) for question in Fold(tiny_data, 0, FOLDS, seed).questions_of("validation")]

    assert division(7) == division(7)
    assert division(7) != division(8)


def test_copies_of_a_picture_stay_together(tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tiny_data.images.clone()
    images[1::2] = images[::2]
    copied = PreparedData.open(tiny_data.folder)
    monkeypatch.setitem(copied.__dict__, "images", images)
    for seed in range(5):
        fold = Fold(copied, 0, FOLDS, seed)
        train, validation = ({int(row) // 2 for row in fold.split(name).images} for name in ("train", "validation"))
        assert not train & validation


@pytest.mark.parametrize(("number", "folds"), [(0, 1), (3, 3), (-1, 3)])
def test_a_fold_that_is_none_is_refused(tiny_data: PreparedData, number: int, folds: int) -> None:
    with pytest.raises(ValueError, match=f"but got {number} of {folds}"):
        Fold(tiny_data, number, folds, seed=0)


def test_more_folds_than_images_are_refused(tiny_data: PreparedData) -> None:
    with pytest.raises(InputError, match=r"\d+ different images cannot be divided into 9999 folds"):
        Fold(tiny_data, 0, 9999, seed=0)


def _results(training: Training | FoldedTraining) -> list[EpochResult]:
    results = []
    while not training.finished:
        results.append(training.run_epoch())
    return results


def test_scores_are_means_over_the_folds_so_far(tiny_data: PreparedData, config: TrainingConfig) -> None:
    results = _results(new_training(config, tiny_data, FOLDS))
    assert [result.epoch for result in results] == [1, 2, 3, 4, 5, 6]
    first = _results(Training(config, Fold(tiny_data, 0, FOLDS, seed=7)))
    assert [result.score for result in results[:2]] == pytest.approx([result.score for result in first])
    assert [result.loss for result in results[:2]] == [result.loss for result in first]
    questions = [len(Fold(tiny_data, number, FOLDS, seed=7).split("validation")) for number in range(FOLDS)]
    for position, result in enumerate(results):
        scores = QuestionScores.from_text(result.by_question)
        assert scores.questions == sum(questions[: position // 2 + 1])
        assert scores.scores.mean() == pytest.approx(result.score)
    assert questions[0] * (results[1].score or 0) == pytest.approx(
        QuestionScores.from_text(results[5].by_question).scores[: questions[0]].sum()
    )


def test_without_folds_it_is_a_training_on_the_datas_own_division(
    tiny_data: PreparedData, config: TrainingConfig
) -> None:
    assert isinstance(new_training(config, tiny_data, 1), Training)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_restored_training_goes_on_as_if_it_had_not_stopped(
    tiny_data: PreparedData, config: TrainingConfig, epochs: int
) -> None:
    whole = _results(FoldedTraining(config, tiny_data, FOLDS))
    stopped, restored = (FoldedTraining(config, tiny_data, FOLDS) for _ in range(2))
    for _ in range(epochs):
        stopped.run_epoch()
    restored.load_state_dict(stopped.state_dict())
    assert restored.epoch == epochs
    found = _results(restored)
    assert [replace(result, seconds=0) for result in found] == [replace(result, seconds=0) for result in whole[epochs:]]


def test_folds_have_networks_of_their_own(tiny_data: PreparedData, config: TrainingConfig) -> None:
    training = FoldedTraining(replace(config, epochs=1, learning_rate=1e-9), tiny_data, FOLDS)
    weights = []
    for _ in range(2):
        training.run_epoch()
        weights.append(training.model.classify.weight.detach().clone())
    assert not np.allclose(*weights)
    assert Path(training.data.folder) == tiny_data.folder
