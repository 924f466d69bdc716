import csv
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from san_core.checkpoint import load_model
from san_core.data.images.grey_values import Range
from san_core.data.images.reading import load_pixels
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from san_core.prediction import answer_list as predict_list
from san_core.prediction import trained_model
from san_core.prediction.answer_list import ListTask, answer_list
from san_core.prediction.trained_model import Reply, TrainedModel
from tests.san_core.data_sets import write_tiff

Entry = dict[str, Any]


@pytest.fixture(scope="session")
def folder(tiny_dataset: RawDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures named as COCO names them: 12 of them, of image_id 40 to 51."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(40, 52):
        shutil.copy(tiny_dataset.images[f"test/{number}"], folder / f"COCO_{number:012d}.png")
    return folder


@pytest.fixture
def questions(tiny_dataset: RawDataset) -> list[Entry]:
    """The tiny test split in the official layout, ids counting down."""
    return [
        {"question_id": 1000 - row, "image_id": int(question.image.removeprefix("test/")), "question": question.text}
        for row, question in enumerate(tiny_dataset.test)
    ]


@pytest.fixture
def task(folder: Path, questions: list[Entry], tmp_path: Path) -> ListTask:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps({"info": {}, "questions": questions}))
    return ListTask(path, folder, "COCO_{image_id:012d}.png", out=tmp_path / "answers.json")


Write = Callable[[object], ListTask]


@pytest.fixture
def write(task: ListTask) -> Write:
    """Replaces the list of questions."""

    def write(content: object) -> ListTask:
        task.questions.write_text(json.dumps(content))
        return task

    return write


def _single(model: TrainedModel, folder: Path, entry: Entry) -> str:
    return model.answer(load_pixels(folder / f"COCO_{entry['image_id']:012d}.png", 64), entry["question"])[0].text


def test_answers_are_those_to_the_single_questions_in_the_official_layout_and_order(
    tiny_model: Path, task: ListTask, questions: list[Entry]
) -> None:
    assert answer_list(tiny_model, task) == (48, 0)
    model = load_model(tiny_model)
    expected = [{"question_id": q["question_id"], "answer": _single(model, task.images, q)} for q in questions]
    assert json.loads(task.out.read_text()) == expected
    assert len({entry["answer"] for entry in expected}) > 1


def test_list_may_be_bare_and_name_picture_files(tiny_model: Path, task: ListTask, questions: list[Entry]) -> None:
    bare = [
        {"question_id": f"q{q['question_id']}", "question": q["question"], "image": f"COCO_{q['image_id']:012d}.png"}
        for q in questions
    ]
    answer_list(tiny_model, task)
    official = json.loads(task.out.read_text())
    task.questions.write_text(json.dumps(bare))
    again = replace(task, image_name=None, out=task.out.with_name("again.json"))
    assert answer_list(tiny_model, again) == (48, 0)
    assert json.loads(again.out.read_text()) == [a | {"question_id": f"q{a['question_id']}"} for a in official]


def _pairs(model: TrainedModel, tiny_dataset: RawDataset) -> list[tuple[NDArray[np.uint8], str]]:
    pixels = {key: load_pixels(path, model.image_size) for key, path in tiny_dataset.images.items()}
    return [(pixels[question.image], question.text) for question in tiny_dataset.test]


def _assert_same(found: Reply, expected: Reply) -> None:
    assert found.answers[0].text == expected.answers[0].text
    probabilities = {a.text: a.probability for a in expected.answers}
    assert {a.text: a.probability for a in found.answers} == pytest.approx(probabilities, abs=1e-5)
    np.testing.assert_allclose(found.attention, expected.attention, atol=1e-5)


@pytest.mark.parametrize(("images", "rows"), [(1, 1), (5, 3), (3, 7), (100, 100)])
def test_replies_in_batches_of_any_size_are_the_single_ones(
    images: int, rows: int, tiny_model: Path, tiny_dataset: RawDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_model)
    pairs = _pairs(model, tiny_dataset)
    order = np.random.default_rng(3).permutation(len(pairs))
    shuffled = [pairs[i] for i in order]
    monkeypatch.setattr(trained_model, "_PIXELS_PER_PASS", dict.fromkeys(["cpu", "cuda"], images * 64 * 64))
    monkeypatch.setattr(trained_model, "_QUESTIONS_PER_PASS", rows)
    for (pixels, question), found in zip(shuffled, model.replies(shuffled, top=6), strict=True):
        _assert_same(found, model.reply(pixels, question, top=6))


def test_each_distinct_picture_is_encoded_once_in_passes_of_limited_size(
    tiny_model: Path, tiny_dataset: RawDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_model)
    passes: list[tuple[int, int]] = []
    attend = model.network.attend

    def record(*inputs: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        passes.append((len(inputs[0]), len(inputs[1])))
        return attend(*inputs)

    monkeypatch.setattr(model.network, "attend", record)
    monkeypatch.setattr(trained_model, "_PIXELS_PER_PASS", dict.fromkeys(["cpu", "cuda"], 5 * 64 * 64))
    monkeypatch.setattr(trained_model, "_QUESTIONS_PER_PASS", 16)
    model.replies(_pairs(model, tiny_dataset)[::-1])
    assert passes == [(4, 16)] * 3  # 12 pictures, 4 questions each
    passes.clear()
    model.replies([_pairs(model, tiny_dataset)[0]] * 40)
    assert passes == [(1, 16), (1, 16), (1, 8)]


def test_no_question_gets_no_reply(tiny_model: Path) -> None:
    assert load_model(tiny_model).replies([]) == []


PROBLEMS: list[tuple[object, str]] = [
    ({"question": "is it red?", "image_id": 40}, "entry 49 column question_id: no id, left out\n"),
    ({"question_id": 1.5, "question": "is it red?", "image_id": 40}, "column question_id: no id, left out (1.5)"),
    ({"question_id": True, "question": "is it red?", "image_id": 40}, "column question_id: no id, left out (True)"),
    ({"question_id": 7, "image_id": 40}, "entry 49 column question: no question, left out\n"),
    ({"question_id": 7, "question": 3, "image_id": 40}, "entry 49 column question: no question, left out (3)"),
    ({"question_id": 7, "question": " \n", "image_id": 40}, "entry 49 column question: no question, left out (' \\n')"),
    ({"question_id": 7, "question": "what?"}, "entry 49 column image_id: names no picture, left out\n"),
    (
        {"question_id": 7, "question": "what?", "image_id": [40, 41]},
        "column image_id: names no picture, left out ([40, 41])",
    ),
    (
        {"question_id": 7, "question": "what?", "image_id": "x"},
        "picture not found, left out ('x': no such picture, and 'COCO_{image_id:012d}.png' does not fit)",
    ),
    (
        {"question_id": 7, "question": "what?", "image_id": 99},
        "column image_id: picture not found, left out ('99': no such picture, nor COCO_000000000099.png)",
    ),
    ({"question_id": 7, "question": "what?", "image": "bad.png"}, "question_id 7: picture cannot be read, left out ("),
    ({"question_id": 7, "question": "what?", "image": "."}, "column image: picture not found, left out ('.': "),
    (
        {"question_id": 7, "question": "what?", "image": "a\0b"},
        "column image: picture not found, left out ('a\\x00b': ",
    ),
    ({"question_id": "two\nlines", "question": ""}, "entry 49 column question: no question, left out ('')"),
    ("is it red?", "entry 49: entry cannot be read, left out (a text in place of an object)"),
    (None, "entry 49: entry cannot be read, left out (null in place of an object)"),
]


@pytest.mark.parametrize(("entry", "problem"), PROBLEMS, ids=range(len(PROBLEMS)))
def test_entry_that_cannot_be_answered_is_told_of_and_the_rest_answered(
    entry: object,
    problem: str,
    tiny_model: Path,
    questions: list[Entry],
    write: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = write([*questions, entry])
    (Path(task.images or "") / "bad.png").write_text("no picture")
    capsys.readouterr()
    assert answer_list(tiny_model, task) == (48, 1)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert problem in err
    assert [a["question_id"] for a in json.loads(task.out.read_text())] == [q["question_id"] for q in questions]


@pytest.mark.parametrize(("entry", "problem"), PROBLEMS, ids=range(len(PROBLEMS)))
def test_strict_makes_the_first_an_error(
    entry: object, problem: str, tiny_model: Path, task: ListTask, questions: list[Entry], write: Write
) -> None:
    (Path(task.images or "") / "bad.png").write_text("no picture")
    with pytest.raises(InputError, match=re.escape(problem.strip())) as raised:
        answer_list(tiny_model, replace(write([*questions, entry]), strict=True))
    assert "without --strict this is only reported" in str(raised.value)
    assert not task.out.exists()


@pytest.mark.parametrize("bare", [False, True])
def test_of_a_list_cut_short_what_stands_before_is_answered(
    bare: bool, tiny_model: Path, task: ListTask, questions: list[Entry], capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps(questions if bare else {"questions": questions})
    task.questions.write_text(text[: text.index(str(questions[5]["question_id"]))])
    with pytest.raises(InputError, match=re.escape(f"at least 1 of 6 entries of {task.questions} (16.7%)")):
        answer_list(tiny_model, task)
    assert not task.out.exists()
    capsys.readouterr()
    assert answer_list(tiny_model, replace(task, allow_loss=0.5)) == (5, 1)
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"{task.questions} line 1 column ")
    assert ": not JSON from here on, what stands before is used (" in told
    with pytest.raises(InputError, match="not JSON from here on"):
        answer_list(tiny_model, replace(task, out=task.out.with_name("strict.json"), strict=True))


def test_every_question_about_a_damaged_picture_is_told_of_by_its_id(
    tiny_model: Path, task: ListTask, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = Path(shutil.copytree(folder, tmp_path / "images"))
    damaged = images / "COCO_000000000041.png"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(InputError, match="4 of 48 entries of .* would be left out: 4 x picture cannot be read"):
        answer_list(tiny_model, replace(task, images=images))
    assert not task.out.exists()
    capsys.readouterr()
    assert answer_list(tiny_model, replace(task, images=images, allow_loss=0.1)) == (44, 4)
    err = capsys.readouterr().err
    told = re.findall(r"^question_id (\d+): picture cannot be read, left out \(.*41\.png.*\)$", err, re.MULTILINE)
    assert [int(number) for number in told] == [996, 995, 994, 993]


def test_too_many_left_out_are_an_error_that_counts_them_by_reason(
    tiny_model: Path, task: ListTask, questions: list[Entry], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_list, "load_model", lambda _: pytest.fail("worked first"))
    entries = [*questions, {"question_id": 1, "question": 3}, {"question_id": 2, "question": 4}, {"question_id": None}]
    with pytest.raises(InputError) as raised:
        answer_list(tiny_model, write(entries))
    assert str(raised.value) == (
        f"3 of 51 entries of {task.questions} (5.9%) would be left out: "
        "2 x no question: entry 49 column question (3); "
        "1 x no id: entry 51 column question_id; "
        "accepted: up to 1.0%; --allow-loss SHARE accepts more"
    )


def test_different_questions_with_the_same_id_get_no_answer(
    tiny_model: Path, questions: list[Entry], write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [
        {**questions[0], "question": "what else?"},
        {**questions[1], "question_id": str(questions[1]["question_id"])},
    ]
    task = write([*questions, *other])
    with pytest.raises(InputError, match="2 of 50 entries of .*: 2 x id that a different row has too"):
        answer_list(tiny_model, task)
    capsys.readouterr()
    assert answer_list(tiny_model, replace(task, allow_loss=0.1)) == (47, 2)
    assert [a["question_id"] for a in json.loads(task.out.read_text())] == [q["question_id"] for q in questions[1:]]
    told = capsys.readouterr().err
    for place in (1, 49):
        assert f"entry {place} column question_id: id that a different row has too, left out (1000)\n" in told
    assert "entry 50: row that is there twice, the first is used\n" in told


def test_where_most_ids_repeat_answers_have_the_numbers_of_the_rows(
    tiny_model: Path, questions: list[Entry], write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [{**question, "question_id": question["image_id"]} for question in questions]
    task = write([entries[0], None, *entries[1:]])
    capsys.readouterr()
    assert answer_list(tiny_model, task) == (48, 1)
    assert [a["question_id"] for a in json.loads(task.out.read_text())] == [1, *range(3, 50)]
    assert capsys.readouterr().err.startswith(
        f"{task.questions}: most ids in the column question_id repeat, so the answers have the number of the row, "
    )


def test_numbers_of_rows_count_the_rows_that_are_left_out(
    tiny_model: Path, task: ListTask, questions: list[Entry]
) -> None:
    path = task.out.with_name("list.csv")
    lines = [f"is it red?,{question['image_id']}" for question in questions]
    path.write_text("\n".join(["question,image_id", *lines[:4], "is it, red?,40", *lines[4:]]))
    assert answer_list(tiny_model, replace(task, questions=path)) == (48, 1)
    assert [a["question_id"] for a in json.loads(task.out.read_text())] == [1, 2, 3, 4, *range(6, 50)]


def test_picture_is_that_of_the_image_or_else_of_the_image_id(
    tiny_model: Path, task: ListTask, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["http://a/99.png", "", "nan", *["COCO_000000000045.png"] * 2]
    ids = [40, 41, 42, 45, 44]
    path = task.out.with_name("list.csv")
    rows = [f"{n},is it red?,{image},{i}" for n, (image, i) in enumerate(zip(names, ids, strict=True), start=1)]
    path.write_text("\n".join(["id,question,image,Image ID", *rows]))
    assert answer_list(tiny_model, replace(task, questions=path)) == (4, 1)
    model = load_model(tiny_model)
    assert [entry["answer"] for entry in json.loads(task.out.read_text())] == [
        _single(model, Path(task.images or ""), {"question": "is it red?", "image_id": number}) for number in ids[:4]
    ]
    assert "line 6 column image: image and image_id are different pictures, left out (" in capsys.readouterr().err


def test_ids_are_given_back_as_they_are_written(tiny_model: Path, questions: list[Entry], write: Write) -> None:
    given = [7.0, "8", "9.0", "a b", 10]
    entries = [{**entry, "question_id": number} for entry, number in zip(questions, given, strict=False)]
    task = write([{**entry, "image_id": float(entry["image_id"])} for entry in entries])
    assert answer_list(tiny_model, task) == (5, 0)
    assert [a["question_id"] for a in json.loads(task.out.read_text())] == [7, "8", "9", "a b", 10]
    assert '"question_id": 7,' in task.out.read_text()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"questions": [\n {"question_id"; 1}]}', " line 2 column 16: not JSON ("),
        (b"", "is empty; accepted: JSON, JSON lines, CSV"),
        (b'{"annotations": []}', "has no list of objects, but 'annotations': a list; accepted: a list of objects"),
        (b'{"questions": {"1": "what?"}}', "column"),
        (b'"what?"', "neither JSON nor columns; accepted"),
        (b"[" * 100_000, "cannot be read: "),
        (b"[" + b"1" * 5000 + b"]", "cannot be read: "),
        (b"[]", "has no rows that can be read"),
        (b'{"questions": [1, 2]}', "has no "),
        (
            b'[{"question_id": 1, "question": "what?", "image_id": 9}]',
            "(100.0%) would be left out: 1 x picture not found",
        ),
    ],
    ids=range(10),
)
def test_list_without_anything_to_answer_is_an_error(
    content: bytes, problem: str, tiny_model: Path, task: ListTask
) -> None:
    task.questions.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(problem)) as raised:
        answer_list(tiny_model, task)
    assert str(task.questions) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not task.out.exists()


def test_list_in_another_encoding_is_answered_and_told_of(
    tiny_model: Path, task: ListTask, questions: list[Entry], capsys: pytest.CaptureFixture[str]
) -> None:
    entries = json.dumps([*questions, {"question_id": 1, "image_id": 40, "question": "¿qué?"}], ensure_ascii=False)
    for encoding, told in {"latin-1": 2, "utf-16": 1, "utf-8-sig": 1}.items():
        task.questions.write_text(entries, encoding=encoding)
        capsys.readouterr()
        assert answer_list(tiny_model, replace(task, out=task.out.with_name(f"{encoding}.json"))) == (49, 0)
        err = capsys.readouterr().err
        assert err.count("\n") == told
        assert ("not UTF-8" in err) == (told > 1)


@pytest.mark.parametrize("pattern", ["COCO.png", "{}", "{0:012d}", "{image}.png", "{image_id", "{image_id.real}", "}{"])
def test_pattern_that_can_fit_no_image_is_an_error_at_once(pattern: str, tiny_model: Path, task: ListTask) -> None:
    expected = f"--image-name must be a Python format with {{image_id}}, such as COCO_val2014_{{image_id:012d}}.jpg, but got {pattern!r}"  # noqa: E501
    with pytest.raises(InputError, match=re.escape(expected)):
        answer_list(tiny_model, replace(task, image_name=pattern))


def test_images_are_found_by_any_name_without_a_pattern(
    tiny_model: Path, task: ListTask, questions: list[Entry], write: Write, folder: Path, tmp_path: Path
) -> None:
    answer_list(tiny_model, task)
    for path in folder.glob("COCO_*"):
        number = int(path.stem.removeprefix("COCO_"))
        name = ("{}.PNG", "{:06}.png", "COCO_val2014_{:012}.png", "sub/u\u0308{}.png")[number % 4].format(number)
        (tmp_path / "mixed" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mixed" / name).write_bytes(path.read_bytes())
    named = [
        {**entry, "image": f"ü{entry['image_id']}"} if entry["image_id"] % 4 == 3 else entry for entry in questions
    ]
    named = [{**entry, "image_id": float(entry["image_id"])} for entry in named]
    again = replace(write(named), image_name=None, images=tmp_path / "mixed", out=tmp_path / "again.json")
    assert answer_list(tiny_model, again) == (48, 0)
    assert again.out.read_text() == task.out.read_text()


def _write_table(path: Path, rows: list[Entry], folder: Path) -> None:
    if path.suffix == ".parquet":  # as Hugging Face's hub has them, with the pictures inside
        pictures = [{"bytes": (folder / f"COCO_{row['img']:012d}.png").read_bytes(), "path": None} for row in rows]
        table = {"qid": [row["qid"] for row in rows], "query": [row["query"] for row in rows], "picture": pictures}
        pq.write_table(pa.table(table), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.jsonl", "list.parquet"])
def test_list_may_be_any_table_with_columns_of_other_names(
    name: str, tiny_model: Path, task: ListTask, questions: list[Entry], capsys: pytest.CaptureFixture[str]
) -> None:
    answer_list(tiny_model, task)
    rows = [{"qid": q["question_id"], "query": q["question"], "img": q["image_id"], "answer": ""} for q in questions]
    path = task.out.with_name(name)
    _write_table(path, rows, Path(task.images or ""))
    again = replace(task, questions=path, image_name=None, out=task.out.with_name("again.json"))
    capsys.readouterr()
    assert answer_list(tiny_model, again) == (48, 0)
    as_text = {entry["question_id"]: entry["answer"] for entry in json.loads(again.out.read_text())}
    assert {int(number): answer for number, answer in as_text.items()} == {
        entry["question_id"]: entry["answer"] for entry in json.loads(task.out.read_text())
    }
    image = "picture" if name == "list.parquet" else "img"
    assert capsys.readouterr().err == f"{path}: question = query, image = {image}, id = qid\n"


def test_columns_may_be_named_and_rows_without_ids_are_numbered(
    tiny_model: Path, task: ListTask, questions: list[Entry], capsys: pytest.CaptureFixture[str]
) -> None:
    images = [f"COCO_{entry['image_id']:012d}" for entry in questions]
    lines = [f'"{q["question"]}";{image}' for q, image in zip(questions, images, strict=True)]
    path = task.out.with_name("list.csv")
    path.write_text("ask;file\n" + "\n".join(lines))
    columns = {"question": ["ask"], "image": ["file"]}
    answer_list(tiny_model, task)
    again = replace(task, questions=path, image_name=None, columns=columns, out=task.out.with_name("again.json"))
    capsys.readouterr()
    assert answer_list(tiny_model, again) == (48, 0)
    answers = [entry["answer"] for entry in json.loads(task.out.read_text())]
    assert json.loads(again.out.read_text()) == [
        {"question_id": number, "answer": answer} for number, answer in enumerate(answers, start=1)
    ]
    told = capsys.readouterr().err
    assert f"{path}: no column is known as that of the ids, so the answers have the number of the row, from 1; " in told
    assert "--column id=NAME names it; its columns: ask, file\n" in told
    with pytest.raises(InputError, match="--column image=NAME names it; its columns: ask, file"):
        answer_list(tiny_model, replace(again, columns={"question": ["ask"]}))


def test_pictures_are_those_of_the_folder_of_the_list_if_no_other_is_named(
    tiny_model: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "own")
    (tmp_path / "own" / "list.csv").write_text("id,question,image\n7,is it red?,COCO_000000000040.png\n")
    task = ListTask(tmp_path / "own" / "list.csv", out=tmp_path / "answers.json")
    assert answer_list(tiny_model, task) == (1, 0)
    assert [entry["question_id"] for entry in json.loads(task.out.read_text())] == ["7"]


def test_deep_grey_images_are_scaled_as_in_training(
    tiny_model: Path, questions: list[Entry], write: Write, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    description = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**description, "grey_range": [-1000.0, 3000.0]}))
    values = np.random.default_rng(0).integers(-900, 1500, (64, 64)).astype(np.int16)
    write_tiff(tmp_path / "ct.tif", values)
    grey = np.rint((values + 1000) * (255 / 4000)).astype(np.uint8)
    asked = [{"question_id": n, "question": q["question"], "image": "ct"} for n, q in enumerate(questions[:4])]
    task = replace(write(asked), images=tmp_path, image_name=None)
    answer_list(model, task)
    found = {entry["question_id"]: entry["answer"] for entry in json.loads(task.out.read_text())}
    loaded = load_model(model)
    pixels = np.stack([grey] * 3, axis=-1)
    assert found == {entry["question_id"]: loaded.answer(pixels, entry["question"])[0].text for entry in asked}
    np.testing.assert_array_equal(load_pixels(tmp_path / "ct.tif", 64, loaded.grey_range), pixels)


def test_missing_files_and_folders_are_named(tiny_model: Path, task: ListTask, tmp_path: Path) -> None:
    none = tmp_path / "none"
    with pytest.raises(InputError, match=re.escape(f"image folder {none} does not exist")):
        answer_list(tiny_model, replace(task, images=none))
    with pytest.raises(InputError, match=re.escape(f"{none} does not exist")):
        answer_list(tiny_model, replace(task, questions=none))
    with pytest.raises(InputError, match=re.escape(f"{none} is not a model folder")):
        answer_list(none, task)
    assert not task.out.exists()


@pytest.mark.parametrize("name", ["answers.json", "folder"])
def test_existing_answers_are_never_overwritten(name: str, tiny_model: Path, task: ListTask, tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / name} exists already; choose another file")):
        answer_list(tiny_model, replace(task, out=tmp_path / name))
    assert (tmp_path / "answers.json").read_text() == "mine"


def test_answers_that_cannot_be_written_are_an_error_before_the_work(
    tiny_model: Path, task: ListTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_list, "load_model", lambda _: pytest.fail("worked first"))
    for out in (task.questions / "answers.json", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match=re.escape(f"cannot write {out}: ")):
            answer_list(tiny_model, replace(task, out=out))


def test_answers_appear_whole_in_a_folder_made_for_them(tiny_model: Path, task: ListTask, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "answers.json"
    answer_list(tiny_model, replace(task, out=out))
    assert list(out.parent.iterdir()) == [out]
    assert len(json.loads(out.read_text())) == 48


def test_interrupted_work_leaves_no_answers(tiny_model: Path, task: ListTask, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> list[Reply]:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainedModel, "replies", interrupt)
    with pytest.raises(KeyboardInterrupt):
        answer_list(tiny_model, task)
    assert [path.name for path in task.out.parent.iterdir()] == ["questions.json"]


def test_pictures_are_loaded_batch_by_batch(tiny_model: Path, task: ListTask, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Path] = []
    ahead: list[int] = []
    replies = TrainedModel.replies

    def load(path: Path, size: int, grey_range: Range | None) -> NDArray[np.uint8]:
        loaded.append(path)
        return load_pixels(path, size, grey_range)

    def reply(self: TrainedModel, questions: Sequence[tuple[NDArray[np.uint8], str]], *, top: int = 5) -> list[Reply]:
        answered.append(len({id(pixels) for pixels, _ in questions}))
        ahead.append(len(loaded) - sum(answered))
        return replies(self, questions, top=top)

    answered: list[int] = []
    monkeypatch.setattr(predict_list, "_IMAGES_PER_BATCH", 2)
    monkeypatch.setattr(predict_list, "load_pixels", load)
    monkeypatch.setattr(TrainedModel, "replies", reply)
    answer_list(tiny_model, task)
    assert answered == [2] * 6
    assert max(ahead) <= 2
    assert len(loaded) == len(set(loaded)) == 12  # each once, though four questions are about each


def test_attention_is_drawn_once_per_question_under_its_id(
    tiny_model: Path, questions: list[Entry], write: Write, tmp_path: Path
) -> None:
    ids = [12, "a/b", "../up", "é x"]
    entries = [entry | {"question_id": number} for entry, number in zip(questions, ids, strict=False)]
    maps = tmp_path / "deep" / "maps"
    assert answer_list(tiny_model, replace(write(entries), attention=maps)) == (4, 0)
    assert sorted(path.name for path in maps.iterdir()) == ["%C3%A9 x.png", "..%2Fup.png", "12.png", "a%2Fb.png"]
    with Image.open(maps / "12.png") as picture:
        assert picture.width > picture.height > 400


def test_attention_that_cannot_be_drawn_costs_no_answer(
    tiny_model: Path,
    questions: list[Entry],
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entries = [questions[0] | {"question_id": "x" * 300}, questions[1]]
    assert answer_list(tiny_model, replace(write(entries), attention=tmp_path / "maps")) == (2, 0)
    assert ": answered, but not drawn (cannot write " in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["999.png"]


@pytest.mark.parametrize("name", ["file", "full", "images"])
def test_attention_goes_only_to_a_folder_of_its_own(
    name: str, tiny_model: Path, task: ListTask, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "999.png").write_text("mine")
    shutil.copytree(folder, tmp_path / "images")
    with pytest.raises(InputError, match=re.escape(str(tmp_path / name))):
        answer_list(tiny_model, replace(task, attention=tmp_path / name))
    assert (tmp_path / "full" / "999.png").read_text() == "mine"
    assert not task.out.exists()


class _Terminal:
    """Standard error that claims to be a terminal."""

    def __init__(self) -> None:
        self.text = ""
        self.encoding = "utf-8"

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_progress_is_shown_where_a_terminal_can_redraw(
    kind: str,
    tiny_model: Path,
    questions: list[Entry],
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _Terminal()
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal)
    path = tmp_path / "damaged.png"
    path.write_bytes(b"no picture")
    damaged = {"question_id": 7, "question": "what?", "image": str(path)}
    answer_list(tiny_model, write([*questions, damaged]))
    assert "question_id 7: picture cannot be read, left out" in terminal.text
    if kind == "dumb":
        assert terminal.text.count("\n") == 1
    else:
        assert "49/49" in terminal.text
        assert "questions/s" in terminal.text
