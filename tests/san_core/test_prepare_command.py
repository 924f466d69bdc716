import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from san_core import prepare as command
from san_core.command_line import run_command
from san_core.data.source import Source


def _run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["san_core.prepare", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(command.main)
    return ended.value.code, *capsys.readouterr()


def test_command_prepares_what_its_options_say(
    tiny_source: Source,
    register: Callable[[Source], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(tiny_source)
    options = ["--image-size", 96, "--fine-tune", "--seed", 3, "--out", tmp_path / "out"]
    code, out, _ = _run(monkeypatch, capsys, "tiny", *options)
    assert code == 0
    assert f"{tmp_path / 'out'}: 52 images; questions: 128 train, 32 validation, 48 test; 6 answers" in out
    inputs = json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"]
    assert (inputs["image_size"], inputs["fine_tune"], inputs["seed"]) == (96, True, 3)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["easy"], "unknown data set 'easy'; accepted: easy-vqa"),
        (["easy-vqa", "--encoder", "resnet"], "unknown image encoder 'resnet'; accepted: efficientnet-lite0"),
        (["easy-vqa", "--image-size", "16"], "image size must be >= 32 pixels for efficientnet-lite0, but got 16"),
        (["easy-vqa", "--image-size", "0"], "must be a whole number >= 1, but got '0'"),
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
