import re
import subprocess
import sys
from pathlib import Path

import pytest

import san_core
from san_core import predict
from san_core.command_line import run_command
from san_core.data.source import Source

REPOSITORY = Path(san_core.__file__).parents[1]


@pytest.fixture
def picture(tiny_source: Source) -> Path:
    return tiny_source.images["test/40"]


def _run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "san_core.predict", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


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


def test_command_given_no_picture_says_so_in_one_line(tiny_model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    done = _run(tiny_model, bad, "is it red?")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: image {re.escape(str(bad))} cannot be read: .*\n", done.stderr)


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
    assert found == (2, "", "error: the question is empty; accepted: any words, in quotes\n")


def test_missing_argument_is_one_line_on_stderr(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run_here(monkeypatch, capsys, tiny_model)
    assert (code, out) == (2, "")
    assert err.startswith("python -m san_core.predict: ")
    assert "IMAGE, QUESTION" in err
    assert err.count("\n") == 1


def test_help_explains_every_argument(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run_here(monkeypatch, capsys, "--help")
    assert (code, err) == (0, "")
    for word in ("python -m san_core.predict", "MODEL", "IMAGE", "QUESTION"):
        assert word in out
