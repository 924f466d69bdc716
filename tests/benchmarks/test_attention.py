import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks import attention
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from san_core.prediction.trained_model import Reply

Register = Callable[[RawDataset], None]


class _Model:
    """Looks everywhere in the first hop, and at the top left quarter in the second."""

    image_size = 32

    def replies(self, questions: Sequence[tuple[NDArray[np.uint8], str]], *, top: int) -> list[Reply]:
        assert all(pixels.shape == (32, 32, 3) and text == "where?" for pixels, text in questions)
        assert top == 1
        maps = np.zeros((2, 4, 4), np.float32)
        maps[0], maps[1, :2, :2] = 1 / 16, 1 / 4
        return [Reply([], maps) for _ in questions]


def _squares(folder: Path, background: str, edge: int) -> RawDataset:
    """Ten pictures of 40 x 40 with a red square in the top left quarter."""
    images = {}
    for number in range(1, 11):
        picture = Image.new("RGB", (40, 40), background)
        ImageDraw.Draw(picture).rectangle((5, number, 5 + edge, number + edge), fill="red")
        images[str(number)] = folder / f"{number}.png"
        picture.save(images[str(number)])
    return RawDataset("squares", [Question("where?", "here", key) for key in images for _ in range(3)], (), images, 32)


def _prepare(squares: RawDataset, register: Register, folder: Path) -> PreparedData:
    register(squares)
    return prepare("squares", folder / "data", Options(fine_tune=True))


def test_a_ratio_is_the_attention_on_the_shape_over_its_share_of_the_picture(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hop that looks at a quarter evenly, and the whole shape is in it, looks 4 times as much at it."""
    data = _prepare(_squares(tmp_path, "#f0faf5", edge=9), register, tmp_path)
    monkeypatch.setattr("san_core.load", lambda _: _Model())
    attention.main(["model", "--data", str(data.folder), "--questions", "5", "--json"])
    ratios = {row["attention"]: row["ratio"] for row in json.loads(capsys.readouterr().out)}
    assert ratios["hop 1"] == ratios["even spread"] == pytest.approx(1)
    assert ratios["hop 2"] == pytest.approx(4)
    assert 4 < ratios["largest possible"] <= 16


def test_pictures_without_a_plain_background_are_refused(register: Register, tmp_path: Path) -> None:
    data = _prepare(_squares(tmp_path, "red", edge=9), register, tmp_path)
    with pytest.raises(InputError, match=r"picture \d of .*data has no plain background; accepted: such as easy-VQA's"):
        attention.measure(_Model(), data, questions=5)  # type: ignore[arg-type]
