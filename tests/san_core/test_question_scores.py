import numpy as np
import pytest

from san_core.question_scores import MOST_QUESTIONS, QuestionScores


@pytest.mark.parametrize("questions", [1, 7, MOST_QUESTIONS, 10 * MOST_QUESTIONS + 3])
def test_scores_are_the_same_after_their_text(questions: int) -> None:
    given = np.random.default_rng(0).choice([0, 0.3, 1], questions)
    scores = QuestionScores.of(given)
    assert scores.questions == questions
    assert len(scores.scores) == min(questions, MOST_QUESTIONS)
    read = QuestionScores.from_text(scores.to_text())
    assert read.questions == questions
    assert np.array_equal(read.scores, scores.scores)
    assert abs(scores.scores.mean() - given.mean()) < 0.03


def test_the_text_of_right_and_wrong_answers_is_short() -> None:
    right = np.random.default_rng(0).random(100_000) < 0.4
    assert len(QuestionScores.of(right.astype(float)).to_text()) < 800


@pytest.mark.parametrize("text", ["", "3:", "x:eJxjAAAAAQAB", "3:eJxjAAAAAQAB", "1:!", "1:AAAA"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        QuestionScores.from_text(text)


def test_the_standard_error_is_that_of_differences_on_the_same_questions() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(1000) < 0.5  # both err on these
    one, other = ((~hard & (rng.random(1000) < 0.9)).astype(float) for _ in range(2))
    expected = np.std(one - other) / np.sqrt(1000)
    error = QuestionScores.of(one).standard_error(QuestionScores.of(other))
    assert error == pytest.approx(expected)
    assert error < 0.8 * np.sqrt(one.var() / 1000 + other.var() / 1000)
    with pytest.raises(ValueError, match="of the same questions, but got 1000 and 999"):
        QuestionScores.of(one).standard_error(QuestionScores.of(other[:999]))
