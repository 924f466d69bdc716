import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from san_core.data.answers.forms import as_written, things_form
from san_core.data.answers.merging import merge_answers
from san_core.data.encoding import build_vocabularies, coverage, write_splits
from san_core.data.prepared import Split
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import Location, RawDataset
from san_core.data.readers import read_dataset
from san_core.data.targets import SOFT, draw_targets
from san_core.metrics import get_metric
from tests.san_core.data_sets import SHARED, needs_coco, needs_daquar


def _dataset(train: Sequence[str], test: Sequence[str] = (), people: Sequence[str] = ()) -> RawDataset:
    questions = [
        [Question("what?", a, f"{part}/{i}", answers=tuple(people)) for i, a in enumerate(answers)]
        for part, answers in (("train", train), ("test", test))
    ]
    return RawDataset("own", *questions, images={})


def _answers(questions: Sequence[Question]) -> list[str]:
    return [question.answer for question in questions]


def _merged(dataset: RawDataset, *, keep: bool = False) -> tuple[RawDataset, list[str]]:
    problems = Problems(strict=True)  # what is merged is no error
    return merge_answers(dataset, problems, keep=keep), problems.notes


def test_answers_get_the_most_frequent_spelling_and_what_was_merged_is_told() -> None:
    train = ["Yes"] * 3 + ["yes"] * 5 + ["YES."] + ["no"] * 2 + ["hot dog", "Hot  Dog"]
    merged, notes = _merged(_dataset(train))
    assert _answers(merged.train) == ["yes"] * 9 + ["no"] * 2 + ["hot dog"] * 2
    assert notes == [
        "5 spellings of 2 answers are one answer each; --keep-answers keeps them apart",
        "`yes`, `Yes`, `YES.` are one answer: yes (9 questions)",
        "`hot dog`, `Hot  Dog` are one answer: hot dog (2 questions)",
    ]


def test_kept_answers_stay_as_they_are_written() -> None:
    train = ["Yes", "yes", "yes ", "YES."]
    merged, notes = _merged(_dataset(train), keep=True)
    assert (_answers(merged.train), notes) == (train, [])
    assert build_vocabularies(merged.train, None, merged.answer_key).answers == sorted(train)


@pytest.mark.parametrize("train", [["Yes", "yes"], ["yes", "Yes"], ["YES", "yes"], ["yes ", "YES"]])
def test_of_equally_frequent_spellings_the_plainest_is_taken(train: list[str]) -> None:
    assert set(_answers(_merged(_dataset(train))[0].train)) == {"yes"}


def test_test_answers_get_the_spelling_of_training() -> None:
    merged, _ = _merged(_dataset(["Yes", "no"], ["yes", "YES.", "yes", "perhaps", "Perhaps", "perhaps"]))
    assert _answers(merged.train) == ["Yes", "no"]
    assert _answers(merged.test) == ["Yes"] * 3 + ["perhaps"] * 3
    accuracy = get_metric("accuracy").score(["Yes"] * 6, merged.test)
    assert accuracy.tolist() == [1, 1, 1, 0, 0, 0]


def test_unanswered_questions_stay_unanswered() -> None:
    assert _answers(_merged(_dataset(["yes", "", "Yes", "yes"]))[0].train) == ["yes", "", "yes", "yes"]


def test_things_are_merged_one_by_one_where_answers_list_them() -> None:
    dataset = replace(
        _dataset(["Cup, table", "cup, table", "cup", "cup", "Table", "table", "lamp"]), answer_key=things_form
    )
    merged, _ = _merged(dataset)
    assert _answers(merged.train) == ["cup, table"] * 2 + ["cup"] * 2 + ["table"] * 2 + ["lamp"]


def test_peoples_answers_stay_as_written_and_are_targets_by_form(tmp_path: Path) -> None:
    people = ("Yes", "yes", "YES.", "no")
    questions = [
        Question("what?", "Yes", "a", answers=people),
        *[Question("what?", "yes", "b", answers=("yes", "no"))] * 2,
    ]
    merged, _ = _merged(RawDataset("own", questions, [], images={}))
    assert merged.train[0].answers == people
    vocabularies = build_vocabularies(merged.train, None, merged.answer_key)
    assert vocabularies.answers == ["yes"]
    write_splits({"train": merged.train}, vocabularies, ["a", "b"], tmp_path)
    split = Split.load(tmp_path, "train")
    assert split.people[0].tolist() == [0, 0, 0, -1]
    assert draw_targets(split, np.arange(1), SOFT, 1, np.random.default_rng(0)).tolist() == [[1.0]]
    assert coverage({"train": merged.train}, vocabularies)["train"]["known_answers"] == 3


def test_vqa_accuracy_is_full_where_all_people_wrote_what_was_merged() -> None:
    """That metric compares texts exactly where all people agree, and the network only knows the merged spelling."""
    alike = Question("what?", "Yes", "a", answers=("Yes",) * 4)
    differing = Question("what?", "yes", "b", answers=("Yes", "yes", "yes", "yes"))
    merged, _ = _merged(RawDataset("own", [alike, differing, differing], [], images={}))
    assert [question.answer for question in merged.train] == ["yes"] * 3
    assert get_metric("vqa").score(["yes"] * 3, merged.train).tolist() == [1, 1, 1]
    assert merged.train[1].answers == differing.answers


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("easy-vqa", None),
        pytest.param("daquar-all", "daquar", marks=needs_daquar),
        pytest.param("daquar-reduced", "daquar", marks=needs_daquar),
        pytest.param("coco-qa", "coco_sample", marks=needs_coco),
        pytest.param("vqa-v2", "coco_sample", marks=needs_coco),
    ],
)
def test_published_data_sets_stay_as_published(name: str, folder: str | None) -> None:
    dataset = read_dataset(name, Location(root=SHARED / folder if folder else None), Problems())
    merged, _ = _merged(dataset)
    assert [*merged.train, *merged.test] == [*dataset.train, *dataset.test]
    assert (merged.answer_key is as_written) == (name in ("coco-qa", "vqa-v2"))


def test_long_list_of_merged_answers_is_cut() -> None:
    train = [spelling for i in range(9) for spelling in (f"thing{i}", f"Thing{i}")]
    _, notes = _merged(_dataset(train))
    assert notes[0].startswith("18 spellings of 9 answers are one answer each")
    assert len(notes) == 4


def test_unicode_forms_of_an_answer_are_one() -> None:
    composed = "café"
    merged, notes = _merged(_dataset([unicodedata.normalize("NFD", composed), composed]))
    assert set(_answers(merged.train)) == {composed}
    assert notes[0].startswith("2 spellings of 1 answer are one answer;")
