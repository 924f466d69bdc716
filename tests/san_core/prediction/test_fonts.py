import warnings
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from PIL import Image

from san_core.prediction import attention_map, fonts
from san_core.prediction.attention_map import draw_attention
from san_core.prediction.fonts import DEFAULT, Fonts
from san_core.prediction.trained_model import Answer, Reply

BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
OTHER = BUNDLED / "STIXGeneral.ttf"


def _only_in(path: Path) -> str:
    """A letter that the font has and the default font lacks."""
    default, there = (FT2Font(str(file)).get_charmap() for file in (findfont(DEFAULT), path))
    return next(chr(code) for code in sorted(there) if code not in default and chr(code).isalpha())


def _install(monkeypatch: pytest.MonkeyPatch, *files: Path) -> None:
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: list(map(str, files)))


def test_text_that_the_default_font_has_needs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: pytest.fail("all fonts were opened"))
    found = Fonts()
    found.add_for("Où est-ce? Это кот? ما هذا\n\t\u200b")
    assert found.families == [DEFAULT]


def test_installed_font_with_the_letters_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (damaged := tmp_path / "a.ttf").write_bytes(b"not a font")
    _install(monkeypatch, damaged, BUNDLED / "DejaVuSerif.ttf", OTHER)
    added: list[Path] = []  # matplotlib would not know a font that was installed since its first start
    monkeypatch.setattr(fonts, "fontManager", SimpleNamespace(addfont=added.append))
    found = Fonts()
    found.add_for(f"what is {_only_in(OTHER)}?")
    assert found.families == [DEFAULT, "STIXGeneral"]
    assert added == [OTHER]
    assert capsys.readouterr().err == ""


def test_letters_that_no_font_has_are_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _install(monkeypatch, OTHER)
    found = Fonts()
    for text in ("यह क्या है।", "बिल्ली", "猫", "猫 या"):
        found.add_for(text)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" characters")[0] for line in lines] == [
        "no installed font has Devanagari",
        "no installed font has CJK",
    ]
    assert "apt-get install fonts-noto-core" in lines[0]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_figure_is_drawn_in_the_fonts_found(
    suffix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _install(monkeypatch, OTHER)
    found = Fonts()
    monkeypatch.setattr(attention_map, "fonts", lambda: found)
    reply = Reply([Answer(f"猫 {_only_in(OTHER)}", 1.0)], np.full((1, 2, 2), 0.25, dtype=np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_attention(Image.new("RGB", (30, 20)), "猫?", reply, tmp_path / f"figure{suffix}")
        draw_attention(Image.new("RGB", (30, 20)), "猫!", reply, tmp_path / f"figure{suffix}")
    assert found.families == [DEFAULT, "STIXGeneral"]
    assert capsys.readouterr().err.count("\n") == 1
