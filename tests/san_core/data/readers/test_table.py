import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from san_core.data.preparation import Options, prepare
from san_core.data.problems import Problems
from san_core.data.raw_dataset import Location, RawDataset, TableFiles
from san_core.data.readers import table
from san_core.errors import InputError
from tests.san_core.data_sets import flaws, paint

Rows = Sequence[Mapping[str, Any]]


def _pictures(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        paint(folder / name, number)
    return folder


def _csv(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _row(image: object, answer: object = "cup", **more: object) -> dict[str, object]:
    return {"question": f"what is {image}?", "answer": answer, "image": image, **more}


def _read(*files: Path, problems: Problems | None = None, images: Path | None = None, **more: Any) -> RawDataset:  # noqa: ANN401
    return table.read("table", TableFiles(files=files, images=images, **more), problems or Problems())


def test_a_row_is_a_question_with_its_answer_and_picture(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "p", "a.jpg", "4.PNG", "deep/er/b.webp", "COCO_train2014_000000000007.jpg")
    names = ["a.jpg", "4", "er/b.webp", 7, "b", str(images / "a.jpg"), "p/a.jpg"]
    data = _read(_csv(tmp_path / "t.csv", [_row(name, f"a{n}") for n, name in enumerate(names)]), images=images)
    files = ["a.jpg", "4.PNG", "deep/er/b.webp", "COCO_train2014_000000000007.jpg", "deep/er/b.webp", "a.jpg", "a.jpg"]
    assert [data.images[question.image] for question in data.train] == [images / name for name in files]
    assert [(q.text, q.answer) for q in data.train] == [(f"what is {name}?", f"a{n}") for n, name in enumerate(names)]
    assert [question.id for question in data.train] == list(range(1, 8))
    assert data.metrics == ("accuracy",)


def test_pictures_are_beside_the_table_without_a_folder(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    data = _read(_csv(tmp_path / "t.csv", [_row("a.jpg")]))
    assert list(data.images.values()) == [tmp_path / "a.jpg"]


def test_what_was_found_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problems = Problems()
    path = _csv(tmp_path / "t.csv", [{"sent": "a", "Picture": "a", "label": 1, "more": 2}])
    _read(path, images=_pictures(tmp_path, "a.jpg"), problems=problems)
    assert problems.notes == [f"{path}: 1 row; question = sent, answer = label, image = Picture"]
    assert capsys.readouterr() == ("", "")


def test_a_column_says_the_splits(tmp_path: Path) -> None:
    words = ["train", "Val", "testing", "dev", "TRAIN"]
    path = _csv(tmp_path / "t.csv", [_row("a", word, split=word) for word in words])
    data = _read(path, images=_pictures(tmp_path, "a.jpg"))
    assert [question.answer for question in data.train] == ["train", "TRAIN"]
    assert [question.answer for question in data.validation or ()] == ["Val", "dev"]
    assert [question.answer for question in data.test] == ["testing"]


def test_names_of_files_or_options_say_the_splits(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    files = {name: _csv(tmp_path / f"{name}.csv", [_row("a", name)]) for name in ("train", "valid", "test")}
    for data in (
        _read(*files.values()),
        _read(splits={"train": [files["train"]], "validation": [files["valid"]], "test": [files["test"]]}),
        _read(files["train"], splits={"validation": [files["valid"]], "test": [files["test"]]}),
    ):
        assert [q.answer for q in (*data.train, *(data.validation or ()), *data.test)] == ["train", "valid", "test"]


def test_files_and_column_that_contradict_are_refused(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    train = _csv(tmp_path / "train.csv", [_row("a", split="train")])
    test = _csv(tmp_path / "test.csv", [_row("a", split="val")])
    with pytest.raises(
        InputError, match="test.csv: the name of the file says test, its column split says 'val'; --col"
    ):
        _read(train, test)
    assert len(_read(splits={"train": [train], "test": [test]}).test) == 1
    other = _csv(tmp_path / "other.csv", [_row("a")])
    with pytest.raises(InputError, match=r"the name of .*other.csv says no split, those of other files do; --train"):
        _read(train, other)


def test_rows_without_an_answer_are_kept_to_be_answered(tmp_path: Path) -> None:
    rows = [_row("a", "cup"), _row("a", None), _row("a", float("nan")), _row("a", " "), _row("a", [])]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    problems = Problems(strict=True)
    data = _read(tmp_path / "t.json", images=_pictures(tmp_path, "a.jpg"), problems=problems)
    assert (len(data.train), len(data.unanswered)) == (1, 4)
    file = tmp_path / "t.json"
    assert problems.notes[1:] == [
        f"4 rows of train without an answer ({file} entry 2, {file} entry 3, {file} entry 4, ...); retraining answers "
        "them"
    ]


@pytest.mark.parametrize(
    ("choices", "answers", "told"),
    [
        (["cat", "dog"], [0, 1], True),
        ("['cat', 'dog']", ["1", "2"], True),
        (["cat", "dog"], ["cat", "dog"], False),
        (["1", "2"], [1, 2], False),  # how many? the choice itself
        (["cat", "dog"], [0, 7], False),
        ("no list", [0, 1], False),
    ],
)
def test_answers_that_may_be_places_of_choices_are_told_of(
    choices: object, answers: list[object], told: bool, tmp_path: Path
) -> None:
    rows = [_row("a.jpg", answer, choices=choices) for answer in answers]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    problems = Problems()
    _read(tmp_path / "t.json", images=_pictures(tmp_path, "a.jpg"), problems=problems)
    assert any("maybe places in the column choices" in note for note in problems.notes) == told


def test_rows_of_the_test_without_an_answer_are_told_of_once(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    files = [_csv(tmp_path / name, [{"question": "b", "image": "a"}]) for name in ("test-0.csv", "test-1.csv")]
    problems = Problems()
    data = _read(_csv(tmp_path / "train.csv", [_row("a")]), *files, problems=problems)
    assert [question.id for question in data.unanswered] == ["test-0-1", "test-1-1"]
    assert problems.notes[3:] == [
        f"2 rows of test without an answer ({files[0]} line 2, {files[1]} line 2); retraining answers them"
    ]


def test_training_and_validation_rows_need_a_column_of_answers(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    told = (
        r"{}: no column is known as that of the answer; --column answer=NAME names it; its columns: question, ans, im"
    )
    one = _csv(tmp_path / "part1.csv", [_row("a")])
    other = _csv(tmp_path / "part2.csv", [{"question": "b", "ans": "cup", "image": "a"}])
    with pytest.raises(InputError, match=told.format("part2.csv")):
        _read(one, other)
    with pytest.raises(InputError, match=told.format("part2.csv")):
        _read(splits={"train": [one], "validation": [other]})
    assert len(_read(splits={"train": [one], "test": [other]}).unanswered) == 1
    rows = [_row("a", split="train"), _row("a", None, split="val")]
    with pytest.raises(InputError, match="no row of the split validation has an answer"):
        _read(_csv(tmp_path / "t.csv", rows))


def test_ids_are_labels_that_are_made_distinct(tmp_path: Path) -> None:
    problems = Problems()
    rows = [_row("a", "x", qid="4"), _row("a", "y", qid="4"), _row("a", "z", qid=""), _row("a", "w", qid="4-2")]
    data = _read(_csv(tmp_path / "t.csv", rows), images=_pictures(tmp_path, "a.jpg"), problems=problems)
    assert [(question.id, question.answer) for question in data.train] == [
        ("4", "x"),
        ("4-3", "y"),
        ("t-3", "z"),
        ("4-2", "w"),
    ]
    assert problems.notes[1:] == [
        "1 ids of train repeat, such as '4' 2 times; they are labels only, later ones become 4-2 and so on"
    ]


def test_rows_without_an_id_have_their_number_in_the_file(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    table = tmp_path / "t.csv"
    table.write_text("question,answer,image,split\nb,,a,train\nb,c,a,train\nb,c\n,c,a,train\nb,c,a,train\nb,,a,test\n")
    data = _read(table)
    assert [question.id for question in data.train] == [2, 5]
    assert [question.id for question in data.unanswered] == [1, 6]
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        _csv(tmp_path / name / "t.csv", [_row("a")])
    data = _read(
        table, tmp_path / "x" / "t.csv", _csv(tmp_path / "u.csv", [_row("a", id=7), _row("a", id="")]), images=tmp_path
    )
    assert [question.id for question in data.train][2:] == ["x/t-1", "7", "u-2"]


def test_many_repeated_ids_take_no_longer(tmp_path: Path) -> None:
    count = 4000
    ids = [*(f"4-{number}" for number in range(2, count)), *["4"] * count]
    start = time.process_time()
    data = _read(
        _csv(tmp_path / "t.csv", [_row("a", id=number) for number in ids]), images=_pictures(tmp_path, "a.jpg")
    )
    assert time.process_time() - start < 3
    assert len({question.id for question in data.train}) == len(ids)


def test_a_column_split_of_unknown_words_is_refused(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    for name, values in (("split", "0 1 2 3"), ("Data Split", "seen new")):
        path = _csv(tmp_path / "t.csv", [_row("a", **{name: value}) for value in values.split()])
        with pytest.raises(InputError) as raised:
            _read(path)
        shown = "'0', '1', '2', ..." if name == "split" else "'seen', 'new'"
        assert str(raised.value) == (
            f"{path}: its column {name} says no split, but {shown}; accepted: train, validation, test; "
            "--column split=NAME names another column, --train FILE takes all rows for training"
        )
        assert len(_read(splits={"train": [path]}).train) == len(values.split())
    assert len(_read(_csv(tmp_path / "t.csv", [_row("a", subset="seen")])).train) == 1


def test_evaluation_and_held_out_rows_are_not_trained_on(tmp_path: Path) -> None:
    words = ["train", "eval", "Evaluation", "heldout", "held-out"]
    data = _read(_csv(tmp_path / "t.csv", [_row("a", w, split=w) for w in words]), images=_pictures(tmp_path, "a.jpg"))
    found = [[question.answer for question in part or ()] for part in (data.train, data.validation, data.test)]
    assert found == [words[:1], words[1:3], words[3:]]


def test_pictures_of_two_tables_are_not_one_file(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "p", "1.jpg", "2.jpg")
    tables = [_csv(tmp_path / f"{name}.csv", [_row(f"{name}/1.jpg")]) for name in ("train", "test")]
    problems = Problems()
    data = _read(*tables, images=images, problems=problems)
    assert (len(data.train), len(data.test)) == (1, 0)
    assert "no such picture; 1.jpg has its name, but pictures of 'train' were found there" in flaws(problems)[0]


def test_picture_by_its_name_or_else_by_its_id(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "p", "1.jpg", "2.jpg", "3.jpg")
    rows = [
        {**_row("http://a/9.jpg"), "Image ID": "1"},
        {**_row(""), "Image ID": "2"},
        {**_row("nan"), "Image ID": "3"},
        {**_row("3.jpg"), "Image ID": "3"},
        {**_row("3.jpg"), "Image ID": "2"},
    ]
    path, problems = _csv(tmp_path / "t.csv", rows), Problems()
    assert [q.image for q in _read(path, images=images, problems=problems).train] == [
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "3.jpg",
    ]
    assert flaws(problems) == [
        f"{path} line 6 column image: image and image_id are different pictures, left out "
        "(its image is 3.jpg, but its image_id is 2.jpg)"
    ]
    assert len(_read(_csv(tmp_path / "t.csv", rows[3:]), images=images, columns={"image": ["image"]}).train) == 2


def test_other_kinds_of_tables_in_a_folder_are_told_of(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg")
    for name in ("train.json", "test.json"):
        (tmp_path / name).write_text(json.dumps([_row("a")]))
    _csv(tmp_path / "more.csv", [_row("a")])
    problems = Problems()
    assert len(_read(tmp_path, problems=problems).train) == 1
    assert problems.notes[0] == (
        f"{tmp_path}: its .json files are read (test.json, ...), but not more.csv; name the files to read others"
    )


def test_rows_that_cannot_be_used_are_lost_with_file_row_and_column(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "p", "a.jpg", "b.jpg", "b.png")
    rows = [
        _row("a"),
        {**_row("a"), "question": None},
        _row("c"),
        _row("b"),
        {**_row("a"), "image": None},
        _row("a", "['x"),
        {**_row("a"), "question": "word " * 1001},
        _row("a", split="sometimes"),
    ]
    path = _csv(tmp_path / "t.csv", [{"split": "train", **row} for row in rows])
    problems = Problems()
    assert len(_read(path, images=images, problems=problems).train) == 1
    assert flaws(problems) == [
        f"{path} line 3 column question: no question, left out",
        f"{path} line 4 column image: picture not found, left out ('c': no such picture)",
        f"{path} line 5 column image: picture not found, left out ('b': several pictures: b.jpg, b.png)",
        f"{path} line 6 column image: row names no picture, left out",
        f"{path} line 7 column answer: answer cannot be read, left out (it begins as a list but is none)",
        f"{path} line 8 column question: question of more than 1,000 words, left out",
        f"{path} line 9 column split: unknown split, left out ('sometimes'; accepted: train, validation, test)",
    ]
    with pytest.raises(InputError, match="7 of 8 entries"):
        problems.check_losses()


def test_the_layout_of_vqa_is_recognised(tmp_path: Path) -> None:
    questions, annotations = tmp_path / "questions.json", tmp_path / "annotations.json"
    questions.write_text(json.dumps({"questions": [{"question_id": 1, "image_id": 4, "question": "a"}]}))
    annotations.write_text(json.dumps({"annotations": [{"question_id": 1, "answers": [{"answer": "b"}]}]}))
    _pictures(tmp_path, "4.jpg")
    told = f"python -m san_core.prepare vqa --questions {questions} --annotations {annotations} --images FOLDER"
    with pytest.raises(InputError, match=told):
        _read(questions, annotations)
    with pytest.raises(InputError, match=f"vqa --questions FILE --annotations {annotations} --images FOLDER prepares"):
        _read(annotations)
    with pytest.raises(InputError, match="no column is known as that of the answer; .* python -m san_core.prepare vqa"):
        _read(questions)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([], "the data set table needs FILE or --train FILE"),
        (["nowhere.csv"], "nowhere.csv does not exist"),
        (["."], "has no table; accepted: .parquet, .jsonl"),
    ],
)
def test_files_that_are_not_there(files: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        _read(*(tmp_path / name for name in files))


def test_a_list_that_predict_answers_can_be_the_test_of_a_table(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.jpg", "4.png")
    train = _csv(tmp_path / "train.csv", [_row("a")])
    listed = {"questions": [{"question_id": 1, "image_id": 4, "question": "b"}, {"question": "c", "image": "a.jpg"}]}
    (tmp_path / "test.json").write_text(json.dumps(listed))
    data = _read(train, tmp_path / "test.json")
    assert [(question.text, question.image) for question in data.unanswered] == [("b", "4.png"), ("c", "a.jpg")]


def test_given_validation_rows_are_used_as_they_are(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(6)]
    images = _pictures(tmp_path / "p", *names)
    rows = [_row(name, "Cup", split="train") for name in names[:4]]
    rows += [_row(name, f"only {name}", split="val") for name in (*names[4:], names[0])]
    files = TableFiles(files=[_csv(tmp_path / "t.csv", rows)], images=images)
    options = Options(encoder="small-cnn", image_size=16)
    data = prepare("table", tmp_path / "out", options, Location(table=files))
    assert [question.image for question in data.questions_of("train")] == names[:4]
    assert [question.image for question in data.questions_of("validation")] == [*names[4:], names[0]]
    assert set(data.answers) == {"Cup", "only 4.png", "only 5.png", "only 0.png"}
    assert data.manifest["problems"] == [
        "1 x picture of validation questions is also one of the training questions: 0.png"
    ]
    assert data.manifest["as_shipped"]["validation"]["questions"] == 3


def test_other_validation_rows_are_other_data(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "p", "a.png", "b.png", "c.png")
    prints = set()
    for number, splits in enumerate((["train", "train", "val"], ["train", "val", "val"], ["train", "train", "train"])):
        rows = [_row(name, split=split) for name, split in zip("abc", splits, strict=True)]
        files = TableFiles(files=[_csv(tmp_path / f"{number}.csv", rows)], images=images)
        options = Options(encoder="small-cnn", image_size=16)
        prints.add(prepare("table", tmp_path / str(number), options, Location(table=files)).fingerprint)
    assert len(prints) == 3
