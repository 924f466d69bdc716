import numpy as np
import pytest

from san_core.metrics import accuracy


@pytest.mark.parametrize(
    ("predicted", "answers", "share"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 0], 0.75),
        ([5], [5], 1.0),
        ([5, 5], [4, 6], 0.0),
        ([0, 1, 2, 0, 1], [0, -1, 2, -1, 0], 0.4),  # two right ones of five
    ],
)
def test_accuracy_is_the_share_of_right_answers(predicted: list[int], answers: list[int], share: float) -> None:
    assert accuracy(np.array(predicted), np.array(answers)) == pytest.approx(share)


def test_answer_outside_the_vocabulary_counts_as_wrong() -> None:
    assert accuracy(np.array([3, 0]), np.array([-1, 0])) == 0.5


@pytest.mark.parametrize(
    ("predicted", "answers"),
    [((4,), (4, 1)), ((4, 1), (4,)), ((4, 1), (4, 1)), ((4,), (5,)), ((4,), (1,)), ((0,), (0,)), ((), ())],
)
def test_anything_but_two_equally_long_vectors_is_refused(predicted: tuple[int, ...], answers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be two equally long vectors, but got") as raised:
        accuracy(np.zeros(predicted, dtype=np.int64), np.zeros(answers, dtype=np.int64))
    assert f"{predicted} and {answers}" in str(raised.value)
