import numpy as np
import pytest
import torch

from san_core.models.prefix_tree import SIZE_MULTIPLE, PrefixTree

QUESTIONS = [[4, 2, 9, 2], [3], [4, 2], [4, 2, 8, 2], [5, 2, 8, 2], []]


def _pad(questions: list[list[int]]) -> torch.Tensor:
    width = max(1, *map(len, questions))
    return torch.tensor([question + [0] * (width - len(question)) for question in questions])


def _walk(tree: PrefixTree, node: int) -> list[int]:
    """The words from the root to a node."""
    level = next(i for i in range(len(tree.parents)) if node < sum(len(parents) for parents in tree.parents[: i + 1]))
    words = []
    while True:
        start = sum(len(parents) for parents in tree.parents[:level])
        words.append(int(tree.words[node]))
        if level == 0:
            return words[::-1]
        node = int(tree.parents[level][node - start]) + start - len(tree.parents[level - 1])
        level -= 1


def _random(seed: int) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 4, generator.integers(1, 6)).tolist() for _ in range(60)]


@pytest.mark.parametrize("questions", [QUESTIONS, [[7]], _random(0), _random(1)], ids=["few", "one", "a", "b"])
def test_path_to_the_end_of_a_question_is_the_question(questions: list[list[int]]) -> None:
    tree = PrefixTree.of(_pad(questions))
    assert [_walk(tree, int(end)) for end in tree.ends] == [question or [0] for question in questions]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_prefix_has_one_node(seed: int) -> None:
    questions = _random(seed)
    tree = PrefixTree.of(_pad(questions))
    for level, parents in enumerate(tree.parents):
        prefixes = {tuple(question[: level + 1]) for question in questions if len(question) > level}
        assert len(parents) == -(-len(prefixes) // SIZE_MULTIPLE) * SIZE_MULTIPLE


def test_padding_behind_all_questions_makes_no_level() -> None:
    assert len(PrefixTree.of(torch.tensor([[1, 2, 0, 0], [1, 0, 0, 0]])).parents) == 2
