import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import san_core
from san_core import predict
from san_core.command_line import run_command
from san_core.data.raw_dataset import RawDataset
from san_core.prediction import attention_map
from san_core.prediction.trained_model import Reply

REPOSITORY = Path(san_core.__file__).parents[1]


@pytest.fixture
def picture(tiny_dataset: RawDataset) -> Path:
    return tiny_dataset.images["test/40"]


def _run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "san_core.predict", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)


def _run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """The same command in this process: starting one takes seconds."""
    monkeypatch.setattr(sys, "argv", ["san_core.predict", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(predict.main)
    assert isinstance(ended.value.code, int)
    return ended.value.code, *capsys.readouterr()


def test_command_prints_the_five_likeliest_answers_best_first(tiny_model: Path, picture: Path) -> None:
    done = _run(tiny_model, picture, "What colour is it?")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.fullmatch(r" *(\d+\.\d)%  (red|green|blue|yellow|yes|no)", line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    assert all(lines)
    probabilities = [float(line[1]) for line in lines if line]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) <= 100.3
    assert len({line[2] for line in lines if line}) == 5


def test_command_given_no_picture_says_so_in_one_line(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    code, out, err = _run_here(monkeypatch, capsys, tiny_model, bad, "is it red?")
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: image {re.escape(str(bad))} cannot be read: .*\n", err)


def test_missing_picture_is_one_line_on_stderr(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _run_here(monkeypatch, capsys, tiny_model, tmp_path / "none.png", "is it red?")
    assert found == (2, "", f"error: image {tmp_path / 'none.png'} does not exist\n")


def test_missing_model_is_one_line_on_stderr(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run_here(monkeypatch, capsys, tmp_path, picture, "is it red?")
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(str(tmp_path))} is not a model folder: it has no model.json.*\n", err)


@pytest.mark.parametrize("question", ["", "   "])
def test_empty_question_is_one_line_on_stderr(
    question: str,
    tiny_model: Path,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = _run_here(monkeypatch, capsys, tiny_model, picture, question)
    assert found == (2, "", "error: the question is empty; accepted: any words\n")


LIST = ["--questions", "list.json", "--images", "."]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "the following arguments are required: MODEL"),
        (["model"], "IMAGE or QUESTION is missing"),
        (["model", "image.png"], "IMAGE or QUESTION is missing"),
        (["model", "image.png", "is it red?", *LIST], "one or the other, not both"),
        (["model", "image.png", *LIST], "one or the other, not both"),
        (["model", "--questions", "list.json", "--column", "picture=x"], "must be ROLE=NAME with a ROLE of question, "),
        (["model", "--images", "."], "IMAGE or QUESTION is missing"),
        (["model", "image.png", "is it red?", "--images", "."], "--images needs --questions"),
        (["model", "image.png", "is it red?", "--column", "id=x"], "--column needs --questions"),
        (["model", "image.png", "is it red?", "--image-name", "x"], "--image-name needs --questions"),
        (["model", "image.png", "is it red?", "--out", "x.json"], "--out needs --questions"),
        (["model", "image.png", "is it red?", "--strict"], "--strict needs --questions"),
        (["model", "image.png", "is it red?", "--allow-loss", "0"], "--allow-loss needs --questions"),
        (["model", *LIST, "--allow-loss", "1"], "must be a number >= 0 and < 1, but got '1'"),
        (["model", "image.png", "is it red?", "--attention"], "--attention: expected one argument"),
    ],
)
def test_contradictory_arguments_are_one_line_on_stderr(
    arguments: list[str], problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run_here(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("python -m san_core.predict: ")
    assert problem in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_attention_is_drawn_and_the_answers_are_those_without(
    place: int,
    tiny_model: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = _run_here(monkeypatch, capsys, tiny_model, picture, "is it red?")
    drawn: list[dict[str, object]] = []

    def record(image: Image.Image, question: str, reply: Reply, path: Path) -> None:
        drawn.append({"size": image.size, "question": question, "attention": reply.attention.shape, "path": path})
        attention_map.attention_figure(image, question, reply)

    monkeypatch.setattr(attention_map, "draw_attention", record)
    arguments: list[object] = [tiny_model, picture, "is it red?"]
    arguments[place:place] = ["--attention", tmp_path / "map.svg"]
    assert _run_here(monkeypatch, capsys, *arguments) == plain
    assert drawn == [{"size": (64, 64), "question": "is it red?", "attention": (2, 2, 2), "path": tmp_path / "map.svg"}]


def test_attention_appears_in_the_file_named(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "map.png"
    code, _, err = _run_here(monkeypatch, capsys, tiny_model, picture, "is it red?", "--attention", path)
    assert (code, err) == (0, "")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_attention_in_an_unknown_format_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _run_here(monkeypatch, capsys, tmp_path / "no-model", "no.png", "is it red?", "--attention", "map.gif")
    assert found == (2, "", "error: cannot draw map.gif: accepted are names that end in .png, .pdf, .svg\n")


def test_attention_that_cannot_be_written_is_one_line_on_stderr(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "map.png"
    code, out, err = _run_here(monkeypatch, capsys, tiny_model, picture, "is it red?", "--attention", path)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: cannot write {re.escape(str(path))}: .+\n", err)


def test_attention_never_overwrites_the_picture(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copy(picture, tmp_path / "copy.png"))
    (tmp_path / "link.png").symlink_to(copy)
    for path in (copy, tmp_path / "link.png"):
        found = _run_here(monkeypatch, capsys, tiny_model, copy, "is it red?", "--attention", path)
        assert found == (2, "", f"error: --attention {path} would overwrite the image\n")
    assert copy.read_bytes() == picture.read_bytes()


def test_list_is_answered_into_the_current_folder(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [{"question_id": 7, "image": picture.name, "question": "is it red?"}]
    (tmp_path / "list.json").write_text(json.dumps(listed))
    monkeypatch.chdir(tmp_path)
    found = _run_here(monkeypatch, capsys, tiny_model, "--questions", "list.json", "--images", picture.parent)
    assert found == (0, "", "1 answered, 0 left out: answers.json\n")
    answers = json.loads((tmp_path / "answers.json").read_text())
    _, out, _ = _run_here(monkeypatch, capsys, tiny_model, picture, "is it red?")
    assert answers == [{"question_id": 7, "answer": out.split()[1]}]


def test_the_reply_is_printed_as_json(
    tiny_model: Path, picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = san_core.load(tiny_model).ask(picture, "is the zebra red?", top=2)
    arguments = tiny_model, picture, "is the zebra red?", "--top", "2", "--json"
    code, out, err = _run_here(monkeypatch, capsys, *arguments)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found == {
        "answer": expected.answers[0].text,
        "probability": expected.answers[0].probability,
        "answers": [{"answer": a.text, "probability": a.probability} for a in expected.answers],
        "unknown_words": list(expected.unknown_words),
    }
    assert "zebra" in found["unknown_words"]


def test_words_that_the_model_does_not_know_are_a_note_on_stderr(
    tiny_model: Path, picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run_here(monkeypatch, capsys, tiny_model, picture, "ist es rot?", "--top", "3")
    assert (code, err) == (0, "note: the model does not know these words: ist, es, rot\n")
    assert len(out.splitlines()) == 3


def test_a_list_can_have_probabilities_and_several_answers(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["is it red?", "ist es rot?", "what colour is the zebra es?"]
    listed = [{"question_id": n, "image": picture.name, "question": text} for n, text in enumerate(texts)]
    (tmp_path / "list.json").write_text(json.dumps(listed))
    monkeypatch.chdir(tmp_path)
    options = "--questions", "list.json", "--images", picture.parent, "--top", "2", "--json"
    code, out, err = _run_here(monkeypatch, capsys, tiny_model, *options)
    assert (code, json.loads(out)) == (0, {"answered": 3, "left_out": 0, "answers": "answers.json"})
    known = set(san_core.load(tiny_model).words.words)
    assert "questions with words that the model does not know: 2 of 3; most often: es, " in err
    for text, entry in zip(texts, json.loads((tmp_path / "answers.json").read_text()), strict=True):
        _, one, _ = _run_here(monkeypatch, capsys, tiny_model, picture, text, "--top", "2", "--json")
        assert entry["answer"] == json.loads(one)["answer"] == entry["answers"][0]["answer"]
        assert entry["probability"] == pytest.approx(json.loads(one)["probability"], abs=1e-3)
        assert len(entry["answers"]) == 2
        assert entry["unknown_words"] == [word for word in text.strip("?").split() if word not in known]


def test_help_explains_every_argument(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run_here(monkeypatch, capsys, "--help")
    assert (code, err) == (0, "")
    options = ["--attention", "--questions", "--images", "--image-name", "--out", "--strict", "--allow-loss"]
    for word in ("python -m san_core.predict", "MODEL", "IMAGE", "QUESTION", *options):
        assert word in out
