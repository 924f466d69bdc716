import math
from collections import Counter

import numpy as np
import pytest

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.divergence import constant_answer_score, most_frequent_answer, untrained_loss
from san_core.metrics import METRICS
from san_core.training import Training


def _answers(data: PreparedData, split: str) -> Counter[str]:
    return Counter(question.answer for question in data.questions_of(split))


def test_the_most_frequent_answer_is_the_one_most_questions_have(tiny_data: PreparedData) -> None:
    (answer, count), (_, second) = _answers(tiny_data, "train").most_common(2)
    assert count > second
    assert most_frequent_answer(tiny_data.split("train").answers, tiny_data) == answer == "yes"


@pytest.mark.parametrize(
    ("numbers", "commonest"), [([0], 0), ([2, 1, 2], 2), ([-1, -1, -1, 1], 1), ([3, 3, 0, 0, 0, -1, -1, -1, -1], 0)]
)
def test_answers_the_vocabulary_lacks_are_left_out(numbers: list[int], commonest: int, tiny_data: PreparedData) -> None:
    found = most_frequent_answer(np.array(numbers, dtype=np.int32), tiny_data)
    assert found == tiny_data.answers[commonest]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_constant_answer_scores_its_share_of_the_questions(split: str, tiny_data: PreparedData) -> None:
    counts = _answers(tiny_data, split)
    for answer in {*tiny_data.answers, *counts}:
        expected = counts[answer] / counts.total()
        assert constant_answer_score(answer, tiny_data, METRICS["accuracy"], split) == pytest.approx(expected)


def test_an_answer_that_is_never_right_scores_nothing(tiny_data: PreparedData) -> None:
    assert constant_answer_score("a word nobody said", tiny_data, METRICS["accuracy"], "validation") == 0


def test_a_uniform_guess_knows_more_than_the_untrained_loss_allows(tiny_data: PreparedData) -> None:
    uniform = math.log(len(tiny_data.answers))
    assert untrained_loss(tiny_data) == pytest.approx(1.1 * uniform)
    assert untrained_loss(tiny_data) > uniform


def test_training_starts_below_the_untrained_loss_and_leaves_it_far_behind(
    tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    slow = TrainingConfig.from_dict({**tiny_config.to_dict(), "learning_rate": 1e-9, "momentum": 0.0})
    assert Training(slow, tiny_data).run_epoch().loss < untrained_loss(tiny_data)  # next to untrained
    training = Training(tiny_config, tiny_data)
    losses = [training.run_epoch().loss for _ in range(3)]
    assert losses[-1] < 0.8 * untrained_loss(tiny_data)
