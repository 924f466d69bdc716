import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from san_core.data.problems import Problems
from san_core.data.raw_dataset import RawDataset, VQAFiles
from san_core.data.readers import vqa
from san_core.errors import InputError
from tests.san_core.data_sets import SHARED, answered, flaws, needs_coco, paint, question_entry, write_json

TEN = ["yes"] * 6 + ["no"] * 3 + ["maybe"]
NO_ID = "entry without a question_id, left out"
NOT_WHOLE = "entry without a question or an image_id, left out"
TWICE = "entry that is there twice, the first is used"


def _official(root: Path, prefix: str, *parts: str) -> Path:
    """A question about each of two images in each part; test2015 comes without annotations."""
    for start, part in enumerate(parts):
        entries = [question_entry(1000 * start + i, 40 + i, f"what is {part}?") for i in (1, 2)]
        write_json(root / f"{prefix}OpenEnded_mscoco_{part}_questions.json", "questions", entries)
        if not part.startswith("test"):
            people = [
                answered(e["question_id"], TEN, multiple_choice_answer="yes", answer_type="yes/no", question_type="is")
                for e in entries
            ]
            write_json(root / f"{prefix}mscoco_{part}_annotations.json", "annotations", people)
        for i in (1, 2):
            paint(root / part / f"COCO_{part}_{40 + i:012d}.jpg", i)
    return root


@pytest.mark.parametrize(("version", "prefix"), [("v1", ""), ("v2", "v2_")])
def test_official_names_are_found_and_validation_serves_as_test(version: str, prefix: str, tmp_path: Path) -> None:
    problems = Problems()
    source = vqa.read(version, _official(tmp_path, prefix, "train2014", "val2014", "test2015"), problems)
    assert flaws(problems) == []
    texts = [[q.text for q in part] for part in (source.train, source.test, source.unanswered)]
    assert texts == [["what is train2014?"] * 2, ["what is val2014?"] * 2, ["what is test2015?"] * 2]
    assert source.images[source.test[0].image] == tmp_path / "val2014" / "COCO_val2014_000000000041.jpg"
    assert all(path.is_file() for path in source.images.values())
    assert len(source.images) == 6
    assert (source.metrics, source.top_answers, source.name) == (("vqa", "accuracy"), 1000, f"vqa-{version}")


def test_each_question_keeps_ten_answers_the_modal_one_and_its_types(tmp_path: Path) -> None:
    question = vqa.read("v2", _official(tmp_path, "v2_", "train2014"), Problems()).train[0]
    assert question.id == 1
    assert question.answers == tuple(TEN)
    assert (question.answer, question.answer_type, question.question_type) == ("yes", "yes/no", "is")


def test_answers_written_as_numbers_are_answers(tmp_path: Path) -> None:
    lists: list[list[Any]] = [[2], [3.0, 3.0, "3"], [2.5], [True]]
    entries = [question_entry(number, 7) for number in range(len(lists) + 1)]
    people = [answered(number, answers) for number, answers in enumerate(lists)]
    people.append(answered(len(lists), [], multiple_choice_answer=12))
    problems = Problems()
    source = _read(_own(tmp_path, entries, people), problems=problems)
    assert {question.id: question.answer for question in source.train} == {0: "2", 1: "3", 2: "2.5", 3: "yes", 4: "12"}
    assert source.train[1].answers == ("3", "3", "3")
    assert [problem.kind for problem in problems.found] == ["answer is true or false, taken as yes or no"]


@pytest.mark.parametrize(
    ("given", "right", "people"),
    [
        ({"answers": [{"answer": "a"}, "b", "b", "b"]}, "b", ("a", "b", "b", "b")),
        ({"answers": ["a", "b", "a"]}, "a", ("a", "b", "a")),
        ({"answers": ["nan", {"answer": "null"}]}, "nan", ("nan", "null")),
        ({"answers": "two"}, "two", ()),
        ({"answers": 0}, "0", ()),
        ({"answers": {"answer": "two"}}, "two", ()),
        ({"answer": "two"}, "two", ()),
        ({"answer": ["two", "2", "two"], "answers": []}, "two", ("two", "2", "two")),
        ({"answers": ["a", "b"], "multiple_choice_answer": "b"}, "b", ("a", "b")),
    ],
)
def test_answers_may_be_texts_as_in_tables(
    given: dict[str, Any], right: str, people: tuple[str, ...], tmp_path: Path
) -> None:
    files = _own(tmp_path, [question_entry(1, 7)], [{"question_id": 1, **given}])
    (question,) = _read(files, problems=Problems(strict=True)).train
    assert (question.answer, question.answers) == (right, people)


def test_answers_that_cannot_be_read_are_told_with_what_is_accepted(tmp_path: Path) -> None:
    people = [answered(1, TEN), {"question_id": 2, "answers": [{"text": "cat"}]}]
    problems = Problems()
    _read(_own(tmp_path, [question_entry(1, 7), question_entry(2, 7)], people), problems=problems)
    assert flaws(problems) == [
        f"{tmp_path / 'annotations.json'} question_id 2: answers cannot be read, left out (an object without answer, "
        "but with text; accepted: texts or objects with an answer; found: [{'text': 'cat'}])"
    ]


@pytest.mark.parametrize(
    "nothing", [{"answers": [{"answer": None}] * 10}, {"answers": [float("nan")]}, {"answers": ["", " "]}, {}]
)
def test_question_without_an_answer_is_kept_for_prediction(nothing: dict[str, Any], tmp_path: Path) -> None:
    questions, annotations = _colours(60, range(60))
    annotations = [{"question_id": n, **nothing} if n % 6 == 5 else one for n, one in enumerate(annotations)]
    problems = Problems(strict=True)
    source = _read(_own(tmp_path, questions, annotations), problems=problems)
    _assert_right(source)
    assert (len(source.train), [q.id for q in source.unanswered]) == (50, [5, 11, 17, 23, 29, 35, 41, 47, 53, 59])
    assert {(q.answer, q.answers) for q in source.unanswered} == {("", ())}
    assert problems.notes == [
        f"{tmp_path / 'annotations.json'}: 10 questions have no answer (question_id 5, 11, 17, ...); retraining "
        "answers them"
    ]


def test_unanswered_questions_of_two_splits_with_the_same_id_stay_apart(tmp_path: Path) -> None:
    questions, annotations = _colours(3, range(3))
    annotations[2]["answers"] = None
    problems = Problems()
    train, test = (_own(tmp_path / part, questions, annotations) for part in ("train", "test"))
    assert [question.id for question in _read(train, test, problems).unanswered] == ["train:2", "test:2"]
    assert "several splits have unanswered questions with the same id, such as 2" in problems.notes[-1]


def test_training_questions_without_any_answer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no training question has an answer in .*annotations.json"):
        _read(_own(tmp_path, [question_entry(1, 7)], [answered(1, [])]))


def test_right_answer_of_several_people_is_counted_by_form(tmp_path: Path) -> None:
    people = ["no", "no", "Yes", "yes", "yes."]
    (question,) = _read(_own(tmp_path, [question_entry(1, 7)], [answered(1, people)])).train
    assert question.answer == "Yes"
    assert question.answers == tuple(people)


def test_words_of_official_answers_that_look_like_nulls_stay(tmp_path: Path) -> None:
    people = [answered(1, ["nan", "null"]), answered(2, [], multiple_choice_answer="nan")]
    train = _read(_own(tmp_path, [question_entry(1, 7), question_entry(2, 7)], people)).train
    assert [(question.answer, question.answers) for question in train] == [("nan", ("nan", "null")), ("nan", ())]


def test_unanswered_questions_have_no_answers_and_keep_their_ids(tmp_path: Path) -> None:
    source = vqa.read("v1", _official(tmp_path, "", "train2014", "test2015"), Problems())
    assert source.test == []
    assert [(q.id, q.answer, q.human_answers) for q in source.unanswered] == [(1001, "", ()), (1002, "", ())]


@pytest.mark.parametrize(
    ("version", "lost"),
    [
        ("v1", "OpenEnded_mscoco_train2014_questions.json"),
        ("v1", "mscoco_train2014_annotations.json"),
        ("v1", "mscoco_val2014_annotations.json"),
        ("v2", "v2_OpenEnded_mscoco_train2014_questions.json"),
        ("v2", "val2014"),
    ],
)
def test_missing_official_file_is_named(version: str, lost: str, tmp_path: Path) -> None:
    _official(tmp_path, "v2_" if version == "v2" else "", "train2014", "val2014")
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=re.escape(lost)):
        vqa.read(version, tmp_path, Problems())


def _own(folder: Path, questions: list[dict[str, Any]], annotations: list[dict[str, Any]] | None = None) -> VQAFiles:
    return VQAFiles(
        questions=write_json(folder / "questions.json", "questions", questions),
        annotations=None
        if annotations is None
        else write_json(folder / "annotations.json", "annotations", annotations),
        images=_folder(folder / "images"),
        image_name="{image_id}.jpg",
    )


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _read(
    train: VQAFiles, test: VQAFiles | None = None, problems: Problems | None = None, name: str = "vqa"
) -> RawDataset:
    return vqa.read_own(name, train, test, problems or Problems())


def test_modal_answer_is_found_where_it_is_not_told(tmp_path: Path) -> None:
    people = ["cat"] * 4 + ["dog"] * 6
    (question,) = _read(_own(tmp_path, [question_entry(1, 1)], [answered(1, people)])).train
    assert question.answer == "dog"


@pytest.mark.parametrize(
    ("pattern", "image", "file"),
    [
        ("{image_id}.jpg", 12, "12.jpg"),
        ("{image_id}.jpg", "cat_3", "cat_3.jpg"),
        ("COCO_train2014_{image_id:012d}.jpg", 12, "COCO_train2014_000000000012.jpg"),
        ("{image_id:03d}/picture.png", 12, "012/picture.png"),
    ],
)
def test_pattern_names_the_image_file(pattern: str, image: int | str, file: str, tmp_path: Path) -> None:
    files = _own(tmp_path, [question_entry(1, image)], [answered(1, TEN)])
    source = _read(VQAFiles(files.questions, files.annotations, files.images, pattern))
    assert source.images[source.train[0].image] == tmp_path / "images" / file


@pytest.mark.parametrize("pattern", ["{id}.jpg", "{}.jpg", "{image_id.name}", "{image_id", "{0}"])
def test_pattern_that_is_none_is_named(pattern: str, tmp_path: Path) -> None:
    files = _own(tmp_path, [question_entry(1, "cat")], [answered(1, TEN)])
    with pytest.raises(InputError, match=f"--image-name must be a Python format .*{re.escape(repr(pattern))}"):
        _read(VQAFiles(files.questions, files.annotations, files.images, pattern))


def test_images_are_found_by_any_name_without_a_pattern(tmp_path: Path) -> None:
    names = {4: "COCO_train2014_000000000004.jpg", 5.0: "005.PNG", "6": "6.webp", "a.jpg": "a.JPG", "b": "sub/b.tif"}
    names |= {unicodedata.normalize("NFC", "é.jpg"): unicodedata.normalize("NFD", "é.jpg")}
    entries = [question_entry(number, name) for number, name in enumerate(names)]  # type: ignore[arg-type]
    entries.append({"question_id": 90, "image": "sub/b.tif", "image_id": 90, "question": "what?"})
    entries.append({"question_id": 91, "image": "http://example.com/5f?a", "image_id": 4, "question": "what?"})
    files = _own(tmp_path, entries, [answered(entry["question_id"], TEN) for entry in entries])
    for file in names.values():
        paint(tmp_path / "images" / file)
    source = _read(replace(files, image_name=None))
    assert source.not_found == {}
    found = [source.images[question.image].relative_to(tmp_path / "images").as_posix() for question in source.train]
    assert found == [*names.values(), "sub/b.tif", names[4]]
    assert [question.image for question in source.train[:5:4]] == [
        "images/COCO_train2014_000000000004.jpg",
        "sub/b.tif",
    ]


def test_image_that_is_not_found_is_told_with_the_reason(tmp_path: Path) -> None:
    entries = [question_entry(number, name) for number, name in enumerate([1, "a.jpg", "b", 44])]
    files = _own(tmp_path, entries, [answered(number, TEN) for number in range(4)])
    for file in ("11.jpg", "a.png", "b.jpg", "b.png", "44.jpg"):
        paint(tmp_path / "images" / file)
    source = _read(replace(files, image_name=None))
    assert [question.id for question in source.train] == [0, 1, 2, 3]
    assert source.not_found == {
        "images/1": "'1': no such picture",
        "images/a.jpg": "'a.jpg': no such picture, but there is a.png",
        "images/b": "'b': several pictures: b.jpg, b.png",
    }


def test_entry_whose_image_and_image_id_are_different_pictures_is_left_out(tmp_path: Path) -> None:
    questions, annotations = _colours(3, range(3))
    questions[1] |= {"image": "http://example.com/8.jpg"}  # the image_id is 7
    files = _own(tmp_path, questions, annotations)
    for file in ("7.jpg", "8.jpg"):
        paint(tmp_path / "images" / file)
    problems = Problems()
    source = _read(files, problems=problems)
    assert ([q.id for q in source.train], source.not_found, len(source.images)) == ([0, 2], {}, 1)
    assert flaws(problems) == [
        f"{files.questions} question_id 1: image and image_id are different pictures, left out (its image is 8.jpg, "
        "but its image_id is 7.jpg)"
    ]


def test_images_of_the_same_name_in_different_folders_stay_apart(tmp_path: Path) -> None:
    train = _own(tmp_path / "train", [question_entry(1, 7)], [answered(1, TEN)])
    test = _own(tmp_path / "test", [question_entry(2, 7), question_entry(3, 8)], [answered(2, TEN), answered(3, TEN)])
    source = _read(train, test)
    files = [source.images[question.image] for question in (*source.train, *source.test)]
    assert files == [
        tmp_path / part / "images" / name
        for part, name in zip(("train", "test", "test"), ("7.jpg", "7.jpg", "8.jpg"), strict=True)
    ]


def test_image_key_does_not_tell_where_the_data_lie(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (question,) = _read(_own(tmp_path / place, [question_entry(1, 7)], [answered(1, TEN)])).train
        assert question.image == "images/7.jpg"


def test_image_in_train_and_test_is_one_image(tmp_path: Path) -> None:
    train = _own(tmp_path, [question_entry(1, 7)], [answered(1, TEN)])
    other = _own(tmp_path / "test", [question_entry(2, 7)], [answered(2, TEN)])
    source = _read(train, VQAFiles(other.questions, other.annotations, train.images, train.image_name))
    assert source.train[0].image == source.test[0].image
    assert len(source.images) == 1


def test_test_questions_without_annotations_are_only_asked(tmp_path: Path) -> None:
    train = _own(tmp_path, [question_entry(1, 7)], [answered(1, TEN)])
    source = _read(train, _own(tmp_path / "test", [question_entry(2, 7)]))
    assert (source.test, [question.id for question in source.unanswered]) == ([], [2])


def test_questions_to_learn_from_need_annotations(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vqa needs training questions with annotations"):
        _read(_own(tmp_path, [question_entry(1, 7)]))


def test_missing_image_folder_is_named(tmp_path: Path) -> None:
    files = _own(tmp_path, [question_entry(1, 7)], [answered(1, TEN)])
    files.images.rmdir()
    with pytest.raises(InputError, match=re.escape(f"image folder {files.images} does not exist")):
        _read(files)


def test_single_answers_are_not_scored_by_vqa_accuracy(tmp_path: Path) -> None:
    source = _read(_own(tmp_path, [question_entry(1, 7)], [answered(1, ["cat"])]))
    assert source.metrics == ("accuracy",)
    only_modal = _own(tmp_path, [question_entry(1, 7)], [{"question_id": 1, "multiple_choice_answer": "cat"}])
    (question,) = _read(only_modal).train
    assert (question.answer, question.human_answers) == ("cat", ("cat",))


@pytest.mark.parametrize(
    ("questions", "annotations", "where", "kind"),
    [
        ([question_entry(2, 7)], [], "questions.json question_id 2", "question without an annotation, left out"),
        ([question_entry(1, 7)], [], "questions.json question_id 1", TWICE),
        ([question_entry("1", 7)], [], "questions.json question_id 1", TWICE),
        ([], [answered(1, TEN)], "annotations.json question_id 1", TWICE),
        ([question_entry(2, 7)], [answered(2, TEN[:7])], "annotations.json question_id 2", "fewer than 10 answers (7)"),
        (
            [question_entry(2, 7)],
            [answered(2, [*TEN[:9], " "])],
            "annotations.json question_id 2",
            "fewer than 10 answers (9)",
        ),
        ([question_entry(2, 7, " ")], [answered(2, TEN)], "questions.json question_id 2", "question without a word"),
        ([question_entry(2, 7, "?!")], [answered(2, TEN)], "questions.json question_id 2", "question without a word"),
        (
            [{"image_id": 7, "question": "?"}],
            [],
            "questions.json questions[1]",
            "entry without a question_id, left out",
        ),
        ([question_entry(True, 7)], [], "questions.json questions[1]", NO_ID),
        ([7], [], "questions.json questions[1]", "not a JSON object, left out"),
        ([], [None], "annotations.json annotations[1]", "not a JSON object, left out"),
        ([question_entry(2, True)], [answered(2, TEN)], "questions.json question_id 2", NOT_WHOLE),
        ([{"question_id": 2, "image_id": 7}], [answered(2, TEN)], "questions.json question_id 2", NOT_WHOLE),
        ([{"question_id": 2, "question": "?"}], [answered(2, TEN)], "questions.json question_id 2", NOT_WHOLE),
    ],
)
def test_flawed_entry_is_told_and_the_rest_is_used(
    questions: list[dict[str, Any]], annotations: list[dict[str, Any]], where: str, kind: str, tmp_path: Path
) -> None:
    files = _own(tmp_path, [question_entry(1, 7), *questions], [answered(1, TEN), *annotations])
    problems = Problems()
    source = _read(files, problems=problems)
    left = [1, 2] if kind.startswith(("fewer", "question without a word")) else [1]
    assert [(question.id, question.answer) for question in source.train] == [(number, "yes") for number in left]
    (told,) = flaws(problems)
    assert told.startswith(f"{tmp_path / where}: {kind}")
    with pytest.raises(InputError, match=re.escape(f"{where}: {kind}")):
        _read(files, problems=Problems(strict=True))


def test_entries_are_counted_as_the_file_does(tmp_path: Path) -> None:
    files = _own(tmp_path, [question_entry(1, 7)], [answered(1, TEN)])
    entries = [question_entry(1, 7), "no object", {"question": "which?", "image_id": 7}, None, question_entry("", 7)]
    files.questions.write_text(json.dumps({"questions": entries}))
    problems = Problems()
    _read(files, problems=problems)
    assert [problem.where.removeprefix(f"{files.questions} ") for problem in problems.found] == [
        f"questions[{place}]" for place in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize("people", [["cup"], ["cup", "mug", "cup"], []], ids=["one", "three", "modal"])
def test_few_answers_are_no_flaw_where_no_question_has_ten(people: list[str], tmp_path: Path) -> None:
    annotations = [answered(number, people, multiple_choice_answer="cup") for number in (1, 2)]
    source = _read(
        _own(tmp_path, [question_entry(1, 7), question_entry(2, 7)], annotations), problems=Problems(strict=True)
    )
    assert [question.answer for question in source.train] == ["cup", "cup"]


@pytest.mark.parametrize("part", ["train2014", "val2014"])
def test_questions_nobody_answers_may_lack_their_images(part: str, tmp_path: Path) -> None:
    _official(tmp_path, "", *dict.fromkeys(["train2014", part]), "test2015")
    (tmp_path / "test2015").rename(tmp_path / "elsewhere")
    problems = Problems()
    source = vqa.read("v1", tmp_path, problems)
    assert (len(source.train), len(source.unanswered)) == (2, 0)
    (told,) = flaws(problems)
    file = tmp_path / "OpenEnded_mscoco_test2015_questions.json"
    assert told == f"{file}: no folder of their images, all its questions are left out (test2015)"
    with pytest.raises(InputError, match="no folder of their images"):
        vqa.read("v1", tmp_path, Problems(strict=True))


def test_flaws_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    surplus = [f"q{number}" for number in (31, 4, 159, 26, 5)]
    files = _own(tmp_path, [question_entry("q1", 7)], [answered(number, TEN) for number in surplus])
    problems = Problems()
    _read(files, problems=problems)
    assert [problem.where.split()[-1] for problem in problems.found] == [*surplus, "q1"]


def test_part_of_the_questions_may_have_the_annotations_of_all(tmp_path: Path) -> None:
    questions, annotations = _colours(60, range(60))
    problems = Problems(strict=True)
    source = _read(_own(tmp_path, questions[:30], annotations), problems=problems)
    _assert_right(source)
    assert len(source.train) == 30
    assert problems.notes == [
        f"{tmp_path / 'annotations.json'}: 30 annotations have no question, left out, such as question_id 30; all "
        "questions have an annotation"
    ]
    message = _loss(_own(tmp_path, questions[:30], annotations[1:]))
    assert "30 of 59 entries" in message


@pytest.mark.parametrize(
    "other", [{"image_id": 8}, {"image_id": "8.jpg"}, {"image_id": 7, "question": "what is thing 99?"}]
)
def test_annotation_of_another_picture_or_question_is_left_out(other: dict[str, Any], tmp_path: Path) -> None:
    questions, annotations = _colours(30, range(30))
    files = _own(tmp_path, questions, [*annotations[:-3], *({**one, **other} for one in annotations[-3:])])
    problems = Problems()
    assert len(_read(files, problems=problems).train) == 27
    assert {problem.kind for problem in problems.found} == {"annotation is about another picture or question, left out"}
    message = _loss(files)
    assert "3 of 30 entries" in message
    assert "in the annotation" in message


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (7, {"image_id": 7.0, "question": None}),
        (7, {"image_id": "007.jpg", "question": " What is  thing 0? "}),
        (7, {"image_id": "COCO_train2014_000000000007.jpg"}),
        ("a/b.PNG", {"image_id": "b"}),
        (7, {"image_id": ""}),
    ],
)
def test_annotation_may_write_picture_and_question_in_another_way(
    asked: int | str, told: dict[str, Any], tmp_path: Path
) -> None:
    questions, annotations = _colours(1, [0])
    files = _own(tmp_path, [{**questions[0], "image_id": asked}], [{**annotations[0], **told}])
    assert len(_read(files, problems=Problems(strict=True)).train) == 1


@pytest.mark.parametrize("name", ["questions.json", "annotations.json"])
def test_of_a_file_cut_short_what_stands_before_is_used(name: str, tmp_path: Path) -> None:
    files = _own(tmp_path, [question_entry(i, 7) for i in range(5)], [answered(i, TEN) for i in range(5)])
    path = tmp_path / name
    text = path.read_text()
    path.write_text(text[: text.index('"question_id": 3') + 5])
    problems = Problems()
    assert [question.id for question in _read(files, problems=problems).train] == [0, 1, 2]
    assert problems.found[0].kind == "not JSON from here on, what stands before is used"
    assert problems.found[0].where.startswith(f"{path} line 1 column ")
    with pytest.raises(InputError, match=rf"at least 1 of 4 entries of .*{name} ") as raised:
        problems.check_losses()
    # Questions that have lost their annotations are lost; annotations that have lost their questions are not asked.
    assert ("; 2 of 5 entries of " in str(raised.value)) == (name == "annotations.json")


def _colours(count: int, ids: Sequence[int | str], *, order: Sequence[int] = ()) -> tuple[list[Any], list[Any]]:
    """Questions "what is thing N?" with the answer "colour N"; the annotations in another order, if one is given."""
    questions = [question_entry(ids[n], 7, f"what is thing {n}?") for n in range(count)]
    annotations = [answered(ids[n], [f"colour {n}"]) for n in order or range(count)]
    return questions, annotations


def _assert_right(source: RawDataset) -> None:
    """Every question has its own answer."""
    pairs = [(q.text.removeprefix("what is thing "), q.answer.removeprefix("colour ")) for q in source.train]
    assert [text for text, _ in pairs] == [f"{answer}?" for _, answer in pairs]


def _loss(files: VQAFiles) -> str:
    """Why the files are refused."""
    problems = Problems()
    _assert_right(_read(files, problems=problems))
    with pytest.raises(InputError) as raised:
        problems.check_losses()
    return str(raised.value)


PICTURES = [number // 3 for number in range(30)]
"""Ids that repeat: those of the pictures, of three questions each."""


def test_ids_that_repeat_in_files_of_different_order_are_refused(tmp_path: Path) -> None:
    order = [int(number) for number in np.random.default_rng(0).permutation(30)]
    message = _loss(_own(tmp_path, *_colours(30, PICTURES, order=order)))
    for name in ("questions", "annotations"):
        file = tmp_path / f"{name}.json"
        assert f"30 of 30 entries of {file} (100.0%) would be left out: 30 x question_id that a different" in message


def test_ids_that_repeat_in_files_of_the_same_order_are_paired_by_order_and_told(tmp_path: Path) -> None:
    files = _own(tmp_path, *_colours(30, PICTURES))
    problems = Problems()
    source = _read(files, problems=problems)
    assert len(source.train) == 30
    _assert_right(source)
    problems.check_losses()
    kind = "question_id repeats, paired by order: both files have the same ids in the same order"
    assert flaws(problems) == [f"{files.questions}: {kind} (10 ids of 30 questions repeat)"]
    with pytest.raises(InputError, match="paired by order"):
        _read(files, problems=Problems(strict=True))


def _change(entries: list[Any], place: int, **values: object) -> list[Any]:
    return [*entries[:place], {**entries[place], **values}, *entries[place + 1 :]]


def test_files_that_differ_in_any_row_are_not_paired_by_order(tmp_path: Path) -> None:
    questions, annotations = _colours(30, PICTURES)
    told = [
        {**annotation, "image_id": 7.0, "question": f"what is thing {n}?"} for n, annotation in enumerate(annotations)
    ]
    problems = Problems()
    assert len(_read(_own(tmp_path, questions, told), problems=problems).train) == 30
    for asked, answers in (
        (questions, annotations[:-1]),
        (questions[1:], annotations),
        ([*questions[1:], {"question": "?"}], annotations),
        (_change(questions, 4, question_id=None), annotations),
        (questions, _change(annotations, 4, question_id=77)),
        (questions, _change(told, 4, image_id=8)),
        (questions, _change(told, 4, question="what is thing 5?")),
    ):
        assert "question_id that a different entry has too" in _loss(_own(tmp_path, asked, answers))


@pytest.mark.parametrize(("count", "ids"), [(30, [0] * 30), (6, [0, 0, 0, 1, 1, 1])])
def test_few_different_ids_do_not_show_that_two_files_have_the_same_order(
    count: int, ids: list[int], tmp_path: Path
) -> None:
    assert f"{count} of {count} entries" in _loss(_own(tmp_path, *_colours(count, ids)))


def test_of_different_entries_with_the_same_id_none_is_used(tmp_path: Path) -> None:
    ids = [*range(298), "5", 6.0]
    questions, annotations = _colours(300, ids)
    files = _own(tmp_path, questions, [*annotations[1:], annotations[0]])
    problems = Problems()
    source = _read(files, problems=problems)
    assert [question.id for question in source.train] == [number for number in range(298) if number not in (5, 6)]
    _assert_right(source)
    lost = [problem for problem in problems.found if problem.lost]
    assert [problem.where.split()[-1] for problem in lost if problem.file == str(files.questions)] == [
        "5",
        "5",
        "6",
        "6",
    ]
    assert len(lost) == 8
    with pytest.raises(InputError, match=re.escape("4 of 300 entries of ")):
        problems.check_losses()


@pytest.mark.parametrize("twice", ["questions", "annotations"])
def test_id_that_repeats_in_one_file_leaves_out_its_entries_in_both(twice: str, tmp_path: Path) -> None:
    questions, annotations = _colours(200, range(200))
    if twice == "questions":
        questions.append(question_entry(5, 7, "what is thing 6?"))
    else:
        annotations.append(answered(5, ["colour 6"]))
    problems = Problems()
    source = _read(_own(tmp_path, questions, annotations), problems=problems)
    assert [question.id for question in source.train] == [number for number in range(200) if number != 5]
    _assert_right(source)
    assert [problem.kind for problem in problems.found] == ["question_id that a different entry has too, left out"] * 3


def test_same_id_written_in_different_ways_is_one(tmp_path: Path) -> None:
    questions, _ = _colours(60, [float(n) if n % 3 else str(n) for n in range(60)])
    _, annotations = _colours(60, [str(n) if n % 2 else f"{n}.0" for n in range(60)], order=range(59, -1, -1))
    source = _read(_own(tmp_path, questions, annotations), problems=Problems(strict=True))
    assert [question.id for question in source.train] == [n if n % 3 else str(n) for n in range(60)]
    assert {type(question.id) for question in source.train} == {int, str}
    _assert_right(source)


def test_image_ids_of_pandas_name_the_same_pictures(tmp_path: Path) -> None:
    source = _read(_own(tmp_path, [question_entry(1, 4.0), question_entry(2, 4)], [answered(n, TEN) for n in (1, 2)]))
    assert set(source.images.values()) == {tmp_path / "images" / "4.jpg"}


def test_names_of_numbers_with_zeros_are_other_ids(tmp_path: Path) -> None:
    questions, annotations = _colours(3, ["7", "07", "007"], order=[2, 0, 1])
    source = _read(_own(tmp_path, questions, annotations), problems=Problems(strict=True))
    assert len(source.train) == 3
    _assert_right(source)


def test_questions_that_are_only_asked_need_ids_of_their_own(tmp_path: Path) -> None:
    train = _own(tmp_path, [question_entry(1, 7)], [answered(1, TEN)])
    asked, _ = _colours(30, PICTURES)
    problems = Problems()
    assert _read(train, _own(tmp_path / "test", asked), problems).unanswered == []
    with pytest.raises(InputError, match="30 of 30 entries of .*: 30 x question_id that a different entry has too"):
        problems.check_losses()


def test_entry_that_runs_into_the_next_is_left_out(tmp_path: Path) -> None:
    files = _own(tmp_path, *_colours(9, range(9)))
    text = files.questions.read_text()
    joint = '"question": "what is thing 3?"}, {"question_id": 4'
    assert joint in text
    files.questions.write_text(text.replace(joint, '"question_id": 4'))
    problems = Problems()
    source = _read(files, problems=problems)
    assert [question.id for question in source.train] == [0, 1, 2, 5, 6, 7, 8]
    _assert_right(source)
    assert (
        flaws(problems)[0]
        == f"{files.questions} questions[3]: entry that has a key twice, left out (question_id, image_id)"
    )


def test_losses_are_counted_by_reason_and_the_values_told(tmp_path: Path) -> None:
    questions, annotations = _colours(60, range(60))
    questions[3] = _change(questions, 3, question=7)[3]
    questions[4] = _change(questions, 4, image_id=4.5)[4]
    questions[5] = "what?"
    message = _loss(_own(tmp_path, questions, annotations[:-1]))
    assert message == (
        f"4 of 60 entries of {tmp_path / 'questions.json'} (6.7%) would be left out: "
        "2 x entry without a question or an image_id: question_id 3 (question 7, image_id 7); "
        "1 x not a JSON object: questions[5] ('what?'); "
        "1 x question without an annotation: question_id 59; "
        "accepted: up to 1.0%; --allow-loss SHARE accepts more"
    )


@needs_coco
def test_sample_of_the_real_data_is_counted_as_its_files_say() -> None:
    folder = SHARED / "coco_sample" / "vqa_v2"
    source = vqa.read("v2", SHARED / "coco_sample", Problems(strict=True))
    questions = json.loads((folder / "v2_OpenEnded_mscoco_train2014_questions.json").read_text())["questions"]
    annotations = json.loads((folder / "v2_mscoco_train2014_annotations.json").read_text())["annotations"]
    assert len(source.train) == len(questions) == 498
    assert len({question.image for question in source.train}) == len({entry["image_id"] for entry in questions})
    assert Counter(q.answer_type for q in source.train) == Counter(a["answer_type"] for a in annotations)
    assert Counter(q.question_type for q in source.train) == Counter(a["question_type"] for a in annotations)
    modal = {a["question_id"]: a["multiple_choice_answer"] for a in annotations}
    people = {a["question_id"]: [one["answer"] for one in a["answers"]] for a in annotations}
    for question in source.train:
        assert question.answer == modal[question.id]
        assert list(question.answers) == people[question.id]
        assert len(question.answers) == 10
    assert all(path.is_file() for path in source.images.values())
