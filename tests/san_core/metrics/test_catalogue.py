import pickle

import numpy as np
import pytest

from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.metrics import METRICS, Group, get_metric, group_scores


def _question(answer: str, *, answer_type: str = "", question_type: str = "") -> Question:
    return Question("?", answer, "image", answer_type=answer_type, question_type=question_type)


def test_accuracy_is_1_for_the_right_answer_and_0_for_any_other() -> None:
    questions = [
        _question("red"),
        _question("two"),
        _question("bed, chair"),
        _question("bed, chair"),
        _question("a cat"),
    ]
    scores = get_metric("accuracy").score(["red", "2", "bed, chair", "bed", "A cat"], questions)
    assert scores.tolist() == [1, 0, 1, 0, 0]
    assert scores.dtype == np.float64


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("accuracy", "accuracy"),
        ("vqa", "VQA accuracy"),
        ("wups@0.9", "WUPS@0.9"),
        ("wups@0.0", "WUPS@0.0"),
    ],
)
def test_metric_is_found_by_its_name(name: str, title: str) -> None:
    assert get_metric(name) is METRICS[name]
    assert (get_metric(name).name, get_metric(name).title) == (name, title)


def test_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown metric 'bleu'; accepted: accuracy, vqa, wups@0\.9, wups@0\.0"):
        get_metric("bleu")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("answers", "questions"), [(1, 2), (2, 1), (0, 1), (0, 0)])
def test_answers_that_do_not_pair_with_questions_are_refused(name: str, answers: int, questions: int) -> None:
    with pytest.raises(ValueError, match=f"but got {answers} answers and {questions} questions"):
        METRICS[name].score(["red"] * answers, [_question("red")] * questions)


@pytest.mark.parametrize("name", METRICS)
def test_metric_travels_to_another_process(name: str) -> None:
    assert pickle.loads(pickle.dumps(METRICS[name])).name == name


def test_group_scores_has_all_then_types_most_frequent_first() -> None:
    questions = [
        _question("2", answer_type="number", question_type="how many"),
        _question("red", answer_type="colour", question_type="what"),
        _question("cat", answer_type="object", question_type="what"),
        _question("dog", answer_type="object", question_type="what"),
        _question("1", answer_type="number", question_type="how many"),
        _question("bed", answer_type="object", question_type="which"),
    ]
    assert group_scores(np.array([1.0, 0.3, 0.0, 1.0, 0.5, 0.5]), questions) == [
        Group("all", "all", 6, pytest.approx(3.3 / 6)),
        Group("answer type", "object", 3, pytest.approx(0.5)),
        Group("answer type", "number", 2, pytest.approx(0.75)),
        Group("answer type", "colour", 1, pytest.approx(0.3)),
        Group("question type", "what", 3, pytest.approx(1.3 / 3)),
        Group("question type", "how many", 2, pytest.approx(0.75)),
        Group("question type", "which", 1, pytest.approx(0.5)),
    ]


def test_group_scores_orders_ties_alphabetically() -> None:
    questions = [
        _question("x", answer_type=kind) for kind in ["yes/no", "other", "number", "other", "number", "yes/no"]
    ]
    assert [group.name for group in group_scores(np.ones(6), questions)] == ["all", "number", "other", "yes/no"]


def test_question_without_a_type_counts_in_all_only() -> None:
    questions = [_question("x"), _question("x", answer_type="number")]
    assert group_scores(np.array([0.0, 1.0]), questions) == [
        Group("all", "all", 2, 0.5),
        Group("answer type", "number", 1, 1.0),
    ]


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 1), (0,)])
def test_group_scores_refuses_scores_that_do_not_pair_with_questions(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one score for each") as raised:
        group_scores(np.zeros(shape), [_question("x")] * 2)
    assert f"{shape} and 2 questions" in str(raised.value)


def test_group_scores_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="and 0 questions"):
        group_scores(np.zeros(0), [])
