import numpy as np
import pytest
import torch

from san_core.data.prepared import Split
from san_core.data.targets import answerable, draw_targets

# Five questions, six people, four answers; -1 is an answer the vocabulary lacks, or nobody's.
PEOPLE = [
    [0, 0, 0, 1, -1, -1],
    [2, 2, 2, 2, 2, 2],
    [-1, -1, -1, -1, -1, -1],
    [-1, 3, -1, 1, -1, 1],
    [3, -1, -1, -1, -1, -1],
]
MODAL = [0, 2, -1, -1, 3]


@pytest.fixture
def split() -> Split:
    rows = np.arange(5, dtype=np.int32)
    return Split(rows, rows, np.array(MODAL, dtype=np.int32), np.array(PEOPLE, dtype=np.int32))


@pytest.mark.parametrize(("target", "kept"), [("modal", [0, 1, 4]), ("soft", [0, 1, 3, 4]), ("sampled", [0, 1, 3, 4])])
def test_only_questions_with_a_known_answer_teach(target: str, kept: list[int], split: Split) -> None:
    assert answerable(split, target).images.tolist() == kept


def _draw(split: Split, rows: list[int], target: str, seed: int = 0) -> torch.Tensor:
    return draw_targets(split, np.array(rows), target, 4, np.random.default_rng(seed))


def test_modal_target_is_the_right_answer(split: Split) -> None:
    targets = _draw(split, [4, 0, 1, 0], "modal")
    assert targets.tolist() == [3, 0, 2, 0]
    assert targets.dtype == torch.int64


def test_soft_target_shares_by_vqa_accuracy(split: Split) -> None:
    # 1, 2 and 3 people who agree make 0.3, 0.6 and 0.9, more than 3 make 1
    targets = _draw(split, [0, 1, 3, 4], "soft")
    expected = [[0.9 / 1.2, 0.3 / 1.2, 0, 0], [0, 0, 1, 0], [0, 0.6 / 0.9, 0, 0.3 / 0.9], [0, 0, 0, 1]]
    torch.testing.assert_close(targets, torch.tensor(expected))


def test_four_people_who_agree_count_as_much_as_ten() -> None:
    people = np.array([[0, 0, 0, 0, 1, 1, 1, 2, 2, -1], [0] * 9 + [1]], dtype=np.int32)
    zeros = np.zeros(2, dtype=np.int32)
    targets = _draw(Split(zeros, zeros, zeros, people), [0, 1], "soft")
    torch.testing.assert_close(targets, torch.tensor([[1 / 2.5, 0.9 / 2.5, 0.6 / 2.5, 0], [1 / 1.3, 0.3 / 1.3, 0, 0]]))


def test_sampled_target_is_one_persons_answer_each_person_as_likely(split: Split) -> None:
    draws = 4_000
    targets = _draw(split, [0, 1, 3, 4] * draws, "sampled").reshape(draws, 4)
    shares = torch.nn.functional.one_hot(targets, 4).float().mean(dim=0)
    expected = [[3 / 4, 1 / 4, 0, 0], [0, 0, 1, 0], [0, 2 / 3, 0, 1 / 3], [0, 0, 0, 1]]
    # four standard deviations of a share of 4,000 draws are 0.032 at most
    torch.testing.assert_close(shares, torch.tensor(expected), atol=0.032, rtol=0)
    assert targets.dtype == torch.int64


def test_seed_decides_what_is_drawn(split: Split) -> None:
    rows = [0, 3] * 50
    assert torch.equal(_draw(split, rows, "sampled", 1), _draw(split, rows, "sampled", 1))
    assert not torch.equal(_draw(split, rows, "sampled", 1), _draw(split, rows, "sampled", 2))


def test_one_persons_answer_is_the_same_target_in_every_way() -> None:
    rows = np.zeros(3, dtype=np.int32)
    answers = np.array([2, 0, 1], dtype=np.int32)
    split = Split(rows, rows, answers, answers[:, None])
    assert _draw(split, [0, 1, 2], "modal").tolist() == [2, 0, 1]
    assert _draw(split, [0, 1, 2], "sampled").tolist() == [2, 0, 1]
    assert _draw(split, [0, 1, 2], "soft").tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
