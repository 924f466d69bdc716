import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from san_core.data.images import load_pixels
from san_core.errors import InputError


def test_picture_of_the_right_size_comes_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = load_pixels(tmp_path / "a.png", 8)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK", "LA"])
def test_every_kind_of_picture_becomes_a_square_in_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new("RGB", (30, 10), (255, 255, 255)).convert(mode).save(path)
    found = load_pixels(path, 16)
    np.testing.assert_array_equal(found, np.full((16, 16, 3), 255))


def test_left_stays_left_and_red_stays_red(tmp_path: Path) -> None:
    pixels = np.zeros((10, 40, 3), dtype=np.uint8)
    pixels[:, :20] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = load_pixels(tmp_path / "a.png", 8)
    assert found[4, 0].tolist() == [255, 0, 0]
    assert found[4, 7].tolist() == [0, 0, 0]


def test_missing_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.png"
    with pytest.raises(InputError, match=re.escape(f"image {path} does not exist")):
        load_pixels(path, 8)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n cut"], ids=["empty", "text", "cut"])
def test_what_is_no_picture_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"image {path} cannot be read: ")):
        load_pixels(path, 8)


def test_picture_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=re.escape(f"image {path} cannot be read: ")):
        load_pixels(path, 8)


def test_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"image {tmp_path} cannot be read: ")):
        load_pixels(tmp_path, 8)
