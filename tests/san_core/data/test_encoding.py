from pathlib import Path

import numpy as np
import pytest

from san_core.data.encoding import build_vocabularies, coverage, write_splits
from san_core.data.prepared import Split
from san_core.data.questions import Question, read_questions


def _q(text: str, answer: str, image: str = "a", **more: object) -> Question:
    return Question(text, answer, image, **more)  # type: ignore[arg-type]


TRAIN = [
    _q("What is red?", "cup", "b", answer_type="other"),
    _q("is it red?", "yes", "a", answer_type="yes/no"),
    _q("is it blue?", "no", "b", answer_type="yes/no"),
    _q("is it?", "yes", "b", answer_type="yes/no"),
]
TEST = [
    _q("is it green, or blue?", "yes", "c", answer_type="yes/no"),
    _q("zebra?", "zebra", "c"),
    _q("!", "no", "d"),
    _q("what", "", "d"),
]


@pytest.mark.parametrize(
    ("top", "answers"), [(None, ["yes", "cup", "no"]), (2, ["yes", "cup"]), (1, ["yes"]), (9, ["yes", "cup", "no"])]
)
def test_answers_are_the_most_frequent_of_training_ties_in_alphabetical_order(
    top: int | None, answers: list[str]
) -> None:
    vocabularies = build_vocabularies(TRAIN, top)
    assert vocabularies.answers == answers
    assert vocabularies.words.words == ["is", "it", "red", "blue", "what"]


def test_coverage_counts_what_the_vocabularies_lack() -> None:
    rows = coverage({"train": TRAIN, "test": TEST}, build_vocabularies(TRAIN, 2))
    assert rows["train"] == {
        "questions": 4,
        "images": 2,
        "answer_types": {"other": 1, "yes/no": 3},
        "answered": 4,
        "known_answers": 3,  # "no" is the third
        "words": 11,
        "unknown_words": 0,
    }
    assert rows["test"] == {
        "questions": 4,
        "images": 2,
        "answer_types": {"yes/no": 1},
        "answered": 3,
        "known_answers": 1,
        "words": 5 + 1 + 1 + 1,  # a question without a word is one unknown word
        "unknown_words": 2 + 1 + 1,  # green, or; zebra; !
    }


def test_splits_are_written_as_numbers_and_in_words(tmp_path: Path) -> None:
    vocabularies = build_vocabularies(TRAIN, 2)
    write_splits({"train": TRAIN, "test": TEST}, vocabularies, ["a", "b", "c", "d"], tmp_path)
    train, test = Split.load(tmp_path, "train"), Split.load(tmp_path, "test")
    assert train.images.tolist() == [1, 0, 1, 1]
    assert train.answers.tolist() == [1, 0, -1, 0]
    assert (test.images.tolist(), test.answers.tolist()) == ([2, 2, 3, 3], [0, -1, -1, -1])
    assert train.people.tolist() == [[1], [0], [-1], [0]]
    words = np.load(tmp_path / "questions.npy")
    unknown, known = 1, {"is": 2, "it": 3, "red": 4, "blue": 5, "what": 6}
    assert [number for number in words[train.questions[0]] if number] == [known["what"], known["is"], known["red"]]
    assert words[test.questions[0]].tolist() == [known["is"], known["it"], unknown, unknown, known["blue"]]
    assert words[test.questions[2]].tolist() == [unknown, 0, 0, 0, 0]
    assert [read_questions(tmp_path / f"{name}.parquet") for name in ("train", "test")] == [TRAIN, TEST]


def test_every_persons_answer_becomes_a_number_in_columns_all_splits_share(tmp_path: Path) -> None:
    train = [_q("a", "yes", answers=("yes", "no")), _q("b", "no", answers=("no",))]
    validation = [_q("c", "yes", answers=("yes", "perhaps", "yes"))]
    unanswered = [_q("d", "")]
    splits = {"train": train, "validation": validation, "unanswered": unanswered}
    write_splits(splits, build_vocabularies(train, None), ["a"], tmp_path)
    no, yes = 0, 1
    expected = {
        "train": [[yes, no, -1], [no, -1, -1]],
        "validation": [[yes, -1, yes]],
        "unanswered": [[-1, -1, -1]],
    }
    loaded = {name: Split.load(tmp_path, name) for name in splits}
    assert {name: split.people.tolist() for name, split in loaded.items()} == expected
    assert len(loaded["train"] + loaded["validation"]) == 3


@pytest.mark.parametrize("ids", [[7, 8, 9], ["a", "b", "c"], [7, "b", "7"], [2**64, -1, 0]])
def test_ids_keep_their_kind(ids: list[int | str], tmp_path: Path) -> None:
    questions = [_q("a", "yes", id=number) for number in ids]
    write_splits({"train": questions}, build_vocabularies(questions, None), ["a"], tmp_path)
    assert [question.id for question in read_questions(tmp_path / "train.parquet")] == ids
