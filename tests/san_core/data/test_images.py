import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from san_core.data.images import as_picture, load_pixels, open_picture, open_to_resize, to_pixels
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


STRIPES = np.array([[[200, 10, 30], [10, 180, 60], [5, 25, 240]]] * 2, dtype=np.uint8)  # 2 high, 3 wide


def _found(path: Path) -> tuple[list[object], tuple[str, ...]]:
    picture = open_picture(path)
    assert picture.image.mode == "RGB"
    return np.asarray(picture.image).tolist(), picture.remarks


def test_plain_picture_needs_no_remark(tmp_path: Path) -> None:
    Image.fromarray(STRIPES).save(tmp_path / "a.png")
    assert _found(tmp_path / "a.png") == (STRIPES.tolist(), ())


def test_grey_picture_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = np.array([[0, 7, 255]], dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert _found(tmp_path / "a.png") == ([[[0] * 3, [7] * 3, [255] * 3]], ("mode L converted to RGB",))


def test_palette_gives_its_colours_and_white_where_it_is_transparent(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([200, 10, 30, 10, 180, 60, 5, 25, 240])
    image.putdata([2, 0, 1])
    image.save(tmp_path / "a.png")
    colours = [[[5, 25, 240], [200, 10, 30], [10, 180, 60]]]
    assert _found(tmp_path / "a.png") == (colours, ("mode P converted to RGB",))
    image.save(tmp_path / "b.png", transparency=0)
    assert _found(tmp_path / "b.png") == ([[colours[0][0], [255] * 3, colours[0][2]]], ("mode P converted to RGB",))
    image.save(tmp_path / "c.png", transparency=bytes([255, 255, 0]))
    assert _found(tmp_path / "c.png") == ([[[255] * 3, *colours[0][1:]]], ("mode P converted to RGB",))


def test_half_transparent_picture_is_seen_on_white_paper(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (100, 0, 200, 51)).save(tmp_path / "a.png")  # a fifth of the colour, four of white
    ((pixel,),), remarks = _found(tmp_path / "a.png")
    assert pixel == [100 // 5 + 204, 204, 200 // 5 + 204]
    assert remarks == ("mode RGBA converted to RGB",)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_to_eight(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.array([[0, 256, 257, 32896, 65535]], dtype=np.uint16)).save(path)
    (row,), (remark,) = _found(path)
    assert row == [[0] * 3, [0] * 3, [1] * 3, [128] * 3, [255] * 3]
    assert remark.startswith("mode I")


def test_cmyk_becomes_what_its_inks_print(tmp_path: Path) -> None:
    inks = np.array([[[0, 255, 255, 0], [255, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0]]], dtype=np.uint8)
    Image.frombytes("CMYK", (4, 1), inks.tobytes()).save(tmp_path / "a.tiff")
    red_green_black_white = [[[255, 0, 0], [0, 255, 0], [0, 0, 0], [255, 255, 255]]]
    assert _found(tmp_path / "a.tiff") == (red_green_black_white, ("mode CMYK converted to RGB",))


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    pixels, remarks = _found(tmp_path / "a.jpg")
    assert np.abs(np.array(pixels) - [255, 0, 0]).max() <= 2
    assert remarks == ("mode CMYK converted to RGB",)


# How a camera held that way wrote the picture that a person sees as STRIPES.
WRITTEN = {
    2: np.fliplr(STRIPES),
    3: np.rot90(STRIPES, 2),
    4: np.flipud(STRIPES),
    5: np.swapaxes(STRIPES, 0, 1),
    6: np.rot90(STRIPES, 1),
    7: np.rot90(np.swapaxes(STRIPES, 0, 1), 2),
    8: np.rot90(STRIPES, -1),
}


@pytest.mark.parametrize("orientation", WRITTEN)
@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("tiff", {}), ("tiff", {"compression": "tiff_lzw"})])
def test_picture_is_turned_as_its_exif_data_say(
    orientation: int, suffix: str, options: dict[str, str], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(WRITTEN[orientation])).save(path, exif=exif, **options)
    assert _found(path) == (STRIPES.tolist(), ("turned as its EXIF data say",))


def test_a_picture_that_pillow_has_opened_is_seen_as_its_file_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(WRITTEN[6])).save(path, exif=exif)
    with Image.open(path) as opened:
        assert np.asarray(as_picture(opened).image).tolist() == STRIPES.tolist()
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened)
    assert np.asarray(as_picture(upright).image).tolist() == STRIPES.tolist()  # not turned twice
    cut = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    with Image.open(cut) as opened, pytest.raises(InputError, match=r"^image .*cut\.png cannot be read: "):
        as_picture(opened)


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_orientation_that_says_nothing_is_passed_over(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(STRIPES).save(tmp_path / "a.png", exif=exif)
    assert _found(tmp_path / "a.png") == (STRIPES.tolist(), ())


@pytest.mark.filterwarnings("ignore:::PIL")  # of the damaged metadata, which the picture does not need
def test_damaged_metadata_stop_nobody(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "somebody"
    path = tmp_path / "a.jpg"
    Image.fromarray(np.ascontiguousarray(WRITTEN[6])).save(path, exif=exif)
    content = bytearray(path.read_bytes())
    type_of_make = content.index(b"Exif") + 17
    sizes = set()
    for kind in range(256):  # of numbers, or nothing at all
        content[type_of_make] = kind
        path.write_bytes(content)
        sizes.add(open_picture(path).image.size)
    assert sizes == {(3, 2), (2, 3)}  # the second where the damage hides that it should be turned


@pytest.mark.parametrize("times", [1, 4], ids=["warning", "error"])
def test_picture_of_too_many_pixels_is_refused(times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (40, 10 * times)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 399)  # up to twice as many, Pillow only warns
    with pytest.raises(InputError, match=re.escape(f"image {path} has too many pixels: ")):
        open_picture(path)


def _photograph(path: Path, width: int, height: int) -> Path:
    """Smooth colours, and edges and lines as a room has them."""
    y, x = np.mgrid[:height, :width]
    red = 127 + 120 * np.sin(x / width * 9) * np.cos(y / height * 5)
    green = np.where((x // (width // 7) + y // (height // 5)) % 2, 200.0, 40.0)
    blue = 255 * y / height
    Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8)).save(path, quality=90)
    return path


def test_large_jpeg_is_decoded_small_and_resized_to_the_same_pixels(tmp_path: Path) -> None:
    path = _photograph(tmp_path / "large.jpg", 2000, 1500)
    assert open_to_resize(path, 128).image.size == (500, 375)  # a quarter; an eighth would be less than 256
    full, found = to_pixels(open_picture(path), 128).astype(int), load_pixels(path, 128).astype(int)
    assert np.abs(found - full).mean() < 0.6
    assert np.abs(found - full).max() < 16  # at the sharpest edges


@pytest.mark.parametrize(("name", "size"), [("a.jpg", 256), ("a.png", 16)])
def test_every_pixel_is_decoded_where_fewer_could_change_the_result(tmp_path: Path, name: str, size: int) -> None:
    path = _photograph(tmp_path / name, 640, 480)
    np.testing.assert_array_equal(load_pixels(path, size), to_pixels(open_picture(path), size))
