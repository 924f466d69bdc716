import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from san_core import prepare as command
from san_core.command_line import run_command
from san_core.data import feature_extraction
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import Location, RawDataset, VQAFiles
from tests.san_core.data_sets import (
    SHARED,
    answered,
    needs_daquar,
    paint,
    question_entry,
    write_coco_qa,
    write_daquar,
    write_json,
)

OWN = ["vqa", "--questions", "q.json", "--annotations", "a.json", "--images", "."]


def _run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["san_core.prepare", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(command.main)
    return ended.value.code, *capsys.readouterr()


def test_command_prepares_what_its_options_say(
    tiny_dataset: RawDataset,
    register: Callable[[RawDataset], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(tiny_dataset)
    options = ["--image-size", "96", "--fine-tune", "--seed", "3", "--grid", "2", "--top-answers", "4", "--out"]
    code, out, _ = _run(monkeypatch, capsys, "tiny", *options, tmp_path / "out")
    assert code == 0
    assert out.startswith("tiny: 52 images, 4 answers, 11 words\nregions of efficientnet-lite0 features: 2 x 2 at 96")
    assert out.endswith(f"search on it: python -m tuning.search --data {tmp_path / 'out'}\n")
    inputs = json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"]
    expected = {"image_size": 96, "fine_tune": True, "seed": 3, "grid": 2, "top_answers": 4}
    assert expected.items() <= inputs.items()


def _rows(out: str) -> dict[str, list[str]]:
    """The printed table: the cells of each row, counts without their commas."""
    below = out[out.rindex("──") + 2 : out.index("\n\n", out.rindex("──"))].strip().splitlines()
    cells = [[cell.strip().replace(",", "") for cell in re.split(r"  +", line)] for line in below]
    return {name: rest for name, *rest in cells}


def test_table_counts_questions_images_types_and_what_the_vocabularies_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = [line for n in range(1, 6) for line in (f"what is red in the image{n} ?", "cup")]
    train += ["what is on it in the image1 ?", "book, cup"]
    test = ["what is green in the image9 ?", "cup", "what is red in the image9 ?", "zebra", "nothing", "lamp"]
    write_daquar(tmp_path / "set", train, test)
    options = ["--root", tmp_path / "set", "--encoder", "small-cnn", "--image-size", 16, "--out", tmp_path / "out"]
    code, out, _ = _run(monkeypatch, capsys, "daquar-all", *options)
    assert code == 0
    rows = _rows(out)
    assert list(rows) == ["train as shipped", "test as shipped", "train", "validation", "test"]
    # questions, images, one thing, several things, answer not in vocabulary, unknown words
    assert rows["test"] == rows["test as shipped"] == ["2", "1", "2", "0", "1", "1 of 6"]
    assert rows["train as shipped"][:4] == ["6", "5", "5", "1"]
    assert int(rows["train"][1]) == 4
    assert int(rows["validation"][1]) == 1
    assert int(rows["train"][0]) + int(rows["validation"][0]) == 6
    file = tmp_path / "set" / "qa.894.raw.test.txt"
    assert f"problems ({tmp_path / 'out' / 'problems.txt'} lists them all):" in out
    assert f"  1 x question names no image, left out: {file} line 5 ('nothing')\n" in out
    code, _, err = _run(monkeypatch, capsys, "daquar-all", *options[:-1], tmp_path / "other", "--strict")
    assert code == 2
    expected = f"error: {file} line 5: question names no image, left out ('nothing'); without --strict "
    assert err == f"{expected}problems.txt of the prepared folder lists all problems\n"


@needs_daquar
@pytest.mark.parametrize(
    ("arguments", "train", "test"),
    [
        (["daquar-reduced"], ["3876", "781", "3825", "51"], ["297", "25", "290", "7"]),
        (["daquar-all", "--single-answers"], ["6149", "794", "6149"], ["5076", "652", "5076"]),
    ],
)
def test_counts_of_daquar_are_those_published(
    arguments: list[str],
    train: list[str],
    test: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    black = np.zeros((16, 16, 3), np.uint8)
    monkeypatch.setattr(feature_extraction, "_load", lambda key, *_: feature_extraction.Loaded(key, black))  # quick
    options = ["--root", SHARED / "daquar", "--encoder", "small-cnn", "--image-size", "16", "--out", tmp_path / "out"]
    code, out, _ = _run(monkeypatch, capsys, *arguments, *options)
    assert code == 0
    rows = _rows(out)
    if "--single-answers" in arguments:
        assert ": 1,446 images, 459 answers, " in out
        assert int(rows["test"][3]) == 5076 - 4949  # answers that no training question has
    assert rows["train as shipped"][: len(train)] == train
    assert rows["test as shipped"][: len(test)] == rows["test"][: len(test)] == test
    assert [int(a) + int(b) for a, b in zip(rows["train"][:3], rows["validation"][:3], strict=True)] == [
        int(count) for count in train[:3]
    ]


def _own_files(folder: Path, images: int = 6) -> list[str]:
    """One's own questions about pictures 0.jpg, 1.jpg and so on."""
    for number in range(images):
        paint(folder / f"{number}.jpg", number)
    people = ["yes"] * 6 + ["no"] * 4
    questions = write_json(folder / "q.json", "questions", [question_entry(i, i) for i in range(images)])
    annotations = [answered(i, people, answer_type="yes/no") for i in range(images)]
    answers = write_json(folder / "a.json", "annotations", annotations)
    return ["--questions", str(questions), "--annotations", str(answers), "--images", str(folder)]


def test_own_files_are_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = _own_files(tmp_path / "own")
    test = ["--test-questions", str(write_json(tmp_path / "t.json", "questions", [question_entry(99, 4)]))]
    options = [*own, *test, "--encoder", "small-cnn", "--image-size", "16", "--out", tmp_path / "out"]
    code, out, _ = _run(monkeypatch, capsys, "vqa", *options)
    assert code == 0
    rows = _rows(out)
    assert rows["unanswered"] == ["1", "1", "0", "–", "0 of 3"]
    assert rows["train as shipped"] == ["6", "6", "6", "0", "0 of 18"]
    data = PreparedData.open(tmp_path / "out")
    assert [question.id for question in data.questions_of("unanswered")] == [99]
    assert data.metrics[0] == "vqa"


def _spelled_files(folder: Path) -> list[str]:
    """One's own questions about ten pictures, with answers that are yes or no in several spellings."""
    own = _own_files(folder, 10)
    answers = ["Yes", "yes", "yes ", "YES.", "yes", "no", "No", "no", "no", "NO"]
    write_json(folder / "a.json", "annotations", [answered(i, [answer]) for i, answer in enumerate(answers)])
    return own


def _spelled_daquar(folder: Path) -> list[str]:
    answers = ["Yes", "yes", "yes", "YES.", "yes", "no", "No", "no", "no", "NO"]
    lines = [line for i, answer in enumerate(answers, 1) for line in (f"is it in the image{i} ?", answer)]
    return ["--root", str(write_daquar(folder, lines, ["is it in the image11 ?", "Yes"], images=11))]


SMALL = ["--encoder", "small-cnn", "--image-size", "16", "--out"]


@pytest.mark.parametrize(("name", "files"), [("vqa", _spelled_files), ("daquar-all", _spelled_daquar)])
def test_answers_that_differ_only_in_spelling_are_one_unless_they_are_to_be_kept(
    name: str,
    files: Callable[[Path], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [name, *files(tmp_path / "own"), *SMALL]
    code, out, _ = _run(monkeypatch, capsys, *arguments, tmp_path / "merged", "--strict")
    assert code == 0
    assert "spellings of 2 answers are one answer each; --keep-answers keeps them apart\n" in out
    assert re.search(r"`no`, `No`, `NO` are one answer: no \(5 questions\)", out)
    merged = PreparedData.open(tmp_path / "merged")
    assert merged.answers == ["no", "yes"]
    for split in ("train", "validation"):
        assert merged.split(split).answers.min() >= 0
        assert {question.answer for question in merged.questions_of(split)} <= {"yes", "no"}
    code, out, _ = _run(monkeypatch, capsys, *arguments, tmp_path / "kept", "--keep-answers")
    assert (code, "are one answer" in out) == (0, False)
    assert {"Yes", "yes", "YES.", "No", "NO"} < set(PreparedData.open(tmp_path / "kept").answers)
    code, _, err = _run(monkeypatch, capsys, *arguments, tmp_path / "merged", "--keep-answers")
    assert (code, "keep_answers False instead of True" in err) == (2, True)


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_terminal_that_is_not_utf8_gets_the_whole_result(environment: dict[str, str], tmp_path: Path) -> None:
    own = _own_files(tmp_path / "own", 10)
    test = ["--test-questions", str(write_json(tmp_path / "t.json", "questions", [question_entry(99, 4, "Où – ?")]))]
    write_json(tmp_path / "own" / "a.json", "annotations", [answered(i, [a]) for i, a in enumerate(["हाँ", "हाँ।"] * 5)])
    command = [sys.executable, "-m", "san_core.prepare", "vqa", *own, *test, *SMALL, str(tmp_path / "out")]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    printed = done.stdout.decode("ascii")
    assert re.search(r"^unanswered .* - ", printed, re.MULTILINE)  # an en dash elsewhere
    assert "`???`, `????` are one answer: ??? (10 questions)" in printed


@pytest.mark.parametrize(
    ("question", "words", "note"),
    [
        ("क्या यह बिल्ली है?", {"क्या", "यह", "बिल्ली", "है"}, ""),
        (
            "แมวอยู่ไหน",
            {"แ", "ม", "ว", "อ", "ยู่", "ไ", "ห", "น"},
            "10 questions are in a script without spaces: they are split into",
        ),
        ("แมว อยู่ ไหน", {"แมว", "อยู่", "ไหน"}, "10 questions are in a script without spaces: their words are separated"),
    ],
    ids=["Hindi", "Thai", "segmented Thai"],
)
def test_questions_in_any_script_are_split_into_words(
    question: str,
    words: set[str],
    note: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = _own_files(tmp_path / "own", 10)
    write_json(tmp_path / "own" / "q.json", "questions", [question_entry(i, i, question) for i in range(10)])
    code, out, _ = _run(monkeypatch, capsys, "vqa", *own, *SMALL, tmp_path / "out")
    assert (code, note in out) == (0, True)
    data = PreparedData.open(tmp_path / "out")
    assert set(data.words.words) == words
    assert 1 not in data.words.encode(question)


def test_test_share_keeps_some_of_ones_own_images_for_testing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = _own_files(tmp_path / "own", 20)
    options = [*own, "--test-share", "0.2", "--encoder", "small-cnn", "--image-size", "16", "--out", tmp_path / "out"]
    code, out, _ = _run(monkeypatch, capsys, "vqa", *options)
    assert code == 0
    assert {name: cells[0] for name, cells in _rows(out).items() if "shipped" not in name} == {
        "train": "13",
        "validation": "3",
        "test": "4",
    }


def _cut(folder: Path) -> None:
    path = folder / "q.json"
    path.write_text(path.read_text()[: path.stat().st_size * 2 // 3])


def _repeat_ids(folder: Path) -> None:
    for name, key in (("q.json", "questions"), ("a.json", "annotations")):
        entries = json.loads((folder / name).read_text())[key]
        for place, entry in enumerate(entries):
            entry["question_id"] = place // 2 if name == "q.json" else (len(entries) - place) // 2
        write_json(folder / name, key, entries)


def _damage_answers(folder: Path) -> None:
    entries = json.loads((folder / "a.json").read_text())["annotations"]
    write_json(folder / "a.json", "annotations", [{**entry, "answers": [{}]} for entry in entries[:3]] + entries[3:])


@pytest.mark.parametrize(
    ("damage", "expected", "allowed"),
    [
        (_cut, r"at least 1 of 14 entries of \S+q.json \(7.1%\) would", 13),
        (_repeat_ids, r"20 of 20 entries of \S+q.json .*question_id .*; 20 of 20 entries of \S+a.json", None),
        (_damage_answers, r"3 of 20 entries of \S+q.json .* 3 x answers cannot be read", 17),
    ],
)
def test_losses_are_one_line_and_a_list_and_nothing_is_prepared_unless_they_are_allowed(
    damage: Callable[[Path], None],
    expected: str,
    allowed: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = _own_files(tmp_path / "own", 20)
    damage(tmp_path / "own")
    options = [*own, "--encoder", "small-cnn", "--image-size", "16", "--out", tmp_path / "out"]
    code, out, err = _run(monkeypatch, capsys, "vqa", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.match(f"error: {expected}", err)
    listed = tmp_path / ".out.partial" / "problems.txt"
    assert err.endswith(f"; {listed} lists all problems\n")
    assert listed.read_text()
    assert not (tmp_path / "out").exists()
    code, out, _ = _run(monkeypatch, capsys, "vqa", *options, "--allow-loss", "0.4")
    assert code == (2 if allowed is None else 0)
    if allowed is not None:
        assert _rows(out)["train as shipped"][0] == str(allowed)


def test_answers_of_coco_qa_that_lack_a_line_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"what is {number}", f"thing{number}", number, 0) for number in range(50)]
    answers = write_coco_qa(tmp_path / "coco", rows, rows[:2]) / "train" / "answers.txt"
    lines = answers.read_text().splitlines()
    answers.write_text("\n".join(lines[:5] + lines[6:]))
    options = ["--root", tmp_path / "coco", "--allow-loss", "0.9", "--out", tmp_path / "out"]
    code, out, err = _run(monkeypatch, capsys, "coco-qa", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "(questions.txt 50, answers.txt 49, img_ids.txt 50, types.txt 50)" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["easy"], "unknown data set 'easy'; accepted: easy-vqa"),
        (
            ["easy-vqa", "--encoder", "resnet"],
            "unknown image encoder 'resnet'; near: resnet50; accepted: efficientnet-lite0",
        ),
        (["easy-vqa", "--image-size", "7"], "image size 7 is too small for layer reduction_3 of efficientnet-lite0"),
        (["easy-vqa", "--layer", "conv5"], "image encoder efficientnet-lite0 has no layer 'conv5'"),
        (["easy-vqa", "--grid", "99"], "grid 99 is not one that layer reduction_3 of efficientnet-lite0 can give"),
        (["easy-vqa", "--single-answers"], "--single-answers is for daquar-all and daquar-reduced, but got easy-vqa"),
        (["easy-vqa", "--test-share", "1"], "must be a number >= 0 and < 1, but got '1'"),
        (["easy-vqa", "--test-share", "0.1"], "test share must be 0 for data with a test split, but got 0.1"),
        (["easy-vqa", "--root", "."], "--root is not for the data set easy-vqa"),
        (["easy-vqa", "--word-vectors", "none.txt"], "none.txt does not exist"),
        (["daquar-all"], "this data set needs --root FOLDER"),
        (["daquar-all", "--root", "none"], "none is not a folder"),
        (["coco-qa", "--root", "."], "holds no COCO-QA train questions"),
        (["vqa-v1", "--root", "."], "holds no questions of VQA v1; accepted"),
        (["vqa-v2", "--images", "."], "--images is for the data set vqa, but got vqa-v2"),
        *(
            ([name, "--image-name", "{image_id}.jpg"], f"--image-name is for the data set vqa, but got {name}")
            for name in ("easy-vqa", "coco-qa", "daquar-all", "vqa-v1")
        ),
        (["vqa", "--questions", "q.json", "--images", "."], "the data set vqa needs --annotations"),
        (["vqa", "--root", "."], "--root is not for the data set vqa"),
        (["table"], "the data set table needs FILE or --train FILE"),
        (["table", "t.csv"], "t.csv does not exist"),
        (["table", "t.csv", "--images", "none"], "image folder none does not exist"),
        (["table", "t.csv", "--root", "."], "--root is not for the data set table"),
        (["table", "t.csv", "--questions", "q.json"], "--questions is for the data set vqa, but got table"),
        (["table", "t.csv", "--column", "what=x"], "must be ROLE=NAME with a ROLE of question, answer, image, id"),
        (["table", "t.csv", *["--column", "id=x"] * 2], "--column id= is given 2 times; only answer= may be"),
        (["easy-vqa", "t.csv"], "FILE is for the data set table, but got easy-vqa"),
        (["vqa-v1", "--train", "t.csv"], "--train is for the data set table, but got vqa-v1"),
        ([*OWN, "--test-images", "."], "--test-images needs --test-questions"),
        ([*OWN], "q.json does not exist"),
        (["easy-vqa", "--image-size", "0"], "must be a whole number >= 1, but got '0'"),
        (["easy-vqa", "--allow-loss", "1"], "must be a number >= 0 and < 1, but got '1'"),
        (["easy-vqa", "--seed", "-1"], "must be a whole number >= 0, but got '-1'"),
        ([], "required: NAME"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_on_stderr(
    arguments: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = _run(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def _heed_ctrl_c() -> None:
    """A shell that runs the tests in the background makes its children deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


_WITHOUT_PAUSES = """
from san_core import prepare
from san_core.command_line import run_command
from san_core.data import encoded_rows

encoded_rows._SECONDS_BETWEEN_SAVES = 0
run_command(prepare.main)
"""


def _stop_halfway(command: list[str], partial: Path, stop: signal.Signals) -> tuple[int, str]:
    """Sends a signal once some fifty images are written, SIGKILL once that is noted; returns exit code and stderr."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_ctrl_c)
    table, noted, deadline = partial / "encoded-1.npy", partial / "encoded.jsonl", time.monotonic() + 600

    def halfway() -> bool:
        if stop == signal.SIGKILL:
            return noted.exists() and noted.read_text().count("\n") - 1 >= 30
        return table.exists() and table.stat().st_size > 50 * SIZE * SIZE * 3

    while not halfway():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(stop)
    _, err = process.communicate(timeout=900)
    return process.returncode, err


SIZE, COUNT = 128, 150


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "stop", "expected"),
    [
        (["-m", "san_core.prepare"], signal.SIGINT, (130, True)),
        (["-c", _WITHOUT_PAUSES], signal.SIGKILL, (-9, False)),
    ],
    ids=["Ctrl-C", "kill -9"],
)
def test_stopped_command_goes_on_where_it_stopped(
    how: list[str], stop: signal.Signals, expected: tuple[int, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out, partial = tmp_path / "own", tmp_path / "out", tmp_path / ".out.partial"
    own = _own_files(folder, COUNT)
    pixels = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)  # takes a while to decode
    for number in range(7):
        Image.fromarray(np.roll(pixels, number, axis=1)).save(folder / f"{number}.jpg")
    for number in range(7, COUNT):
        content = (folder / f"{number % 7}.jpg").read_bytes()
        (folder / f"{number}.jpg").write_bytes(content + f"{number}".encode())  # a file of its own, the same to the eye
    (folder / "5.jpg").write_bytes(b"no picture")
    more = ["--encoder", "small-cnn", "--image-size", str(SIZE), "--out", str(out)]
    code, err = _stop_halfway([sys.executable, *how, "vqa", *own, *more], partial, stop)
    assert (code, "run the same command again to continue" in err) == expected
    assert not out.exists()
    done = (partial / "encoded.jsonl").read_text().count("\n") - 1
    assert 30 <= done < COUNT

    location = Location(train=VQAFiles(folder / "q.json", folder / "a.json", folder, "{image_id}.jpg"))
    options = Options(encoder="small-cnn", image_size=SIZE)
    prepare("vqa", tmp_path / "whole", options, location)
    opened = []
    load = feature_extraction._load
    monkeypatch.setattr(feature_extraction, "_load", lambda *image: (opened.append(image), load(*image))[1])
    prepare("vqa", out, options, location)
    assert len(opened) == COUNT - done
    assert not partial.exists()
    contents = [{path.name: path.read_bytes() for path in part.iterdir()} for part in (out, tmp_path / "whole")]
    assert contents[0] == contents[1]
    assert "5.jpg" in (out / "problems.txt").read_text()


def test_all_combinations_are_prepared_by_one_command(
    tiny_dataset: RawDataset,
    register: Callable[[RawDataset], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(tiny_dataset)
    options = ["--encoder", "small-cnn,efficientnet-lite0", "--grid", "1,2", "--out", tmp_path / "squares"]
    code, out, err = _run(monkeypatch, capsys, "tiny", *options)
    assert code == 0
    expected = {
        f"squares-{encoder}-{grid}x{grid}": (encoder, grid)
        for encoder in ("small-cnn", "efficientnet-lite0")
        for grid in (1, 2)
    }
    found = {path.name: PreparedData.open(path) for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert {name: (data.encoder, data.grid) for name, data in found.items()} == expected
    folders = [tmp_path / name for name in expected]
    assert [line for line in err.splitlines() if " of 4: " in line] == [
        f"{place} of 4: {folder}" for place, folder in enumerate(folders, start=1)
    ]
    assert out.count("tiny: 52 images") == 1
    assert f"regions of small-cnn features: 2 x 2 at 64 pixels, in {folders[1]}\n" in out
    last = " ".join(f"--data {folder}" for folder in folders)
    assert out.endswith(f"search on them: python -m tuning.search {last}\n")


def test_one_combination_that_cannot_be_prepared_is_told_and_the_others_are(
    tiny_dataset: RawDataset,
    register: Callable[[RawDataset], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(tiny_dataset)
    (_, _, _), there = _run(monkeypatch, capsys, "tiny", "--out", tmp_path / "out-2x2"), tmp_path / "out-2x2"
    made = there.stat().st_ino
    code, out, err = _run(monkeypatch, capsys, "tiny", "--grid", "1,9, 2", "--out", tmp_path / "out")
    assert code == 2
    (told,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert told.startswith(f"error: {tmp_path}/out-9x9 was not prepared: grid 9 is not one that ")
    assert out.endswith(f"--data {tmp_path}/out-1x1 --data {there}\n")
    assert there.stat().st_ino == made
    code, out, err = _run(monkeypatch, capsys, "tiny", "--grid", "8,9", "--out", tmp_path / "out")
    assert (code, out, err.count("error: ")) == (2, "", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grid", "7,x"], "argument --grid: must be a whole number >= 1, but got 'x'"),
        (["--grid", "7,"], "argument --grid: must be a whole number >= 1, but got ''"),
        (
            ["--grid", "7,14", "--out", ".."],
            "prepared data cannot go to ..; accepted: a new folder, such as data/easy-vqa",
        ),
        (
            ["--encoder", "timm:a,timm:b", "--weights", "tuned.pth"],
            "--weights is for one encoder, but got timm:a, timm:b",
        ),
    ],
)
def test_combinations_that_make_no_sense_are_refused_at_once(
    options: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run(monkeypatch, capsys, "easy-vqa", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
