import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import preparation
from san_core import hardware
from san_core.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        Image.radial_gradient("L").convert("RGB").rotate(30 * number).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize("batch", preparation.BATCHES)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.003), ("bfloat16", 0.1)])
def test_both_ways_give_the_same_features(
    folder: Path, batch: int, precision: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are kept in bfloat16, whose rounding is up to 0.2 %; what is computed in it adds up over the layers."""
    monkeypatch.setattr(hardware, "fastest_precision", lambda _: precision)
    paths = preparation.pictures(folder, 3)
    expected, found = preparation.plain(paths, 64, batch), preparation.fast(paths, 64)
    assert found.shape == expected.shape == (3, 4, 1280)
    assert preparation.difference(expected, found) < tolerance


def test_difference_is_relative() -> None:
    assert preparation.difference(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5])) == pytest.approx(0.1)


def test_folder_without_images_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no images"):
        preparation.pictures(tmp_path, 3)


@pytest.mark.long
@pytest.mark.rare
def test_sizes_are_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preparation.main(
        ["--images", str(folder), "--sizes", "64", "--count", "1", "--rounds", "1", "--threads", "1", "--json"]
    )
    (row,) = json.loads(capsys.readouterr().out)
    assert row["size"] == 64
    assert (row["images"], row["threads"]) == (3, 1)
    assert min(row["fast"], row["plain, one thread"], row["ratio to all threads"]) > 0
    assert row["difference"] < 0.1
