import os
import re
import struct
import subprocess
import sys
import unicodedata
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from san_core.data.images.reading import (
    NEARLY_BLACK,
    NEARLY_WHITE,
    as_picture,
    brightness_remark,
    load_pixels,
    open_picture,
    open_to_resize,
    to_pixels,
    unstated_range,
)
from san_core.errors import InputError
from tests.san_core.data_sets import write_tiff


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


@pytest.mark.parametrize("kind", ["png", "tif", "jpg", "webp", "avif", "jp2", "ppm", "gif", "bmp"])
def test_damaged_picture_is_read_or_named_in_one_line(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"a.{kind}"
    Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    errors = []
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(0, min(len(content), int(rng.choice([60, 300, 5000]))), 8):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, on damaged metadata
            try:
                assert load_pixels(path, 8).shape == (8, 8, 3)
            except InputError as error:
                errors.append(str(error))
    one_line = f"image {re.escape(str(path))} (cannot be read: |has too many pixels: ).*"
    assert errors
    assert all(re.fullmatch(one_line, error) for error in errors)


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
    assert row == [[0] * 3, [1] * 3, [1] * 3, [128] * 3, [255] * 3]
    assert remark == "mode I;16 converted to RGB by its own range"


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


DEEP = {
    "int16": np.array([[-1000, 0, 1000, 3000]], dtype=np.int16),
    "uint16": np.array([[0, 1000, 2000, 4000]], dtype=np.uint16),
    "int32": np.array([[-100_000, 0, 100_000, 300_000]], dtype=np.int32),
    "float32": np.array([[-0.5, 0, 0.5, 1.5]], dtype=np.float32),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_grey_picture_is_scaled_by_the_range_given_or_else_by_its_own(kind: str, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", DEEP[kind])
    low, high = float(DEEP[kind].min()), float(DEEP[kind].max())
    picture = open_picture(path)
    assert np.asarray(picture.image)[0, :, 0].tolist() == [0, 64, 128, 255]
    assert picture.remarks == (f"mode {'I;16' if kind == 'uint16' else MODES[kind]} converted to RGB by its own range",)
    wide = open_picture(path, grey_range=(low - (high - low), high))
    assert np.asarray(wide.image)[0, :, 1].tolist() == [128, 159, 191, 255]
    assert wide.remarks[0].endswith(f"by the range of the data set, {low - (high - low):g} to {high:g}")
    narrow = open_picture(path, grey_range=(low + (high - low) / 2, high))
    assert np.asarray(narrow.image)[0, :, 2].tolist() == [0, 0, 0, 255]
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(as_picture(opened).image), np.asarray(picture.image))


MODES = {"int16": "I", "int32": "I", "float32": "F"}
STATED = {
    "12 bits in 16, the largest value stated": ({281: [4095]}, 16),
    "12 bits in 16, by the sample format's limits": ({340: [0], 341: [4095]}, 16),
    "12 bits": ({}, 12),
}


@pytest.mark.parametrize("case", STATED)
def test_range_that_a_file_states_goes_first(case: str, tmp_path: Path) -> None:
    tags, bits = STATED[case]
    values = np.array([[0, 819, 1638, 2457]], dtype=np.uint16)  # 0, 20, 40, 60 % of 4095
    picture = open_picture(write_tiff(tmp_path / "a.tif", values, tags, bits=bits), grey_range=(0, 99))
    assert np.asarray(picture.image)[0, :, 0].tolist() == [0, 51, 102, 153]
    assert picture.remarks == ("mode I;16 converted to RGB by the range that its file states",)


def test_that_16_bits_are_16_bits_states_nothing(tmp_path: Path) -> None:
    values = np.array([[0, 1000, 2000, 4000]], dtype=np.uint16)
    path = write_tiff(tmp_path / "a.tif", values, {280: [0], 281: [65535]})
    assert open_picture(path).remarks == ("mode I;16 converted to RGB by its own range",)


@pytest.mark.parametrize(("values", "stated"), [([0, 1365, 4095], True), ([0, 16 * 85, 16 * 255], False)])
def test_significant_bits_of_a_png_file_count_if_its_values_are_not_scaled(
    values: list[int], stated: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([values], dtype=np.uint16)).save(path)
    content = path.read_bytes()
    data = b"sBIT\x0c"
    chunk = struct.pack(">I", 1) + data + struct.pack(">I", zlib.crc32(data))
    path.write_bytes(content[:33] + chunk + content[33:])  # after the header
    picture = open_picture(path, grey_range=(0, 65535))
    expected = [0, 85, 255] if stated else [0, 5, 16]  # scaled to 16 bits, as they are to be: a dark picture
    assert np.asarray(picture.image)[0, :, 0].tolist() == expected


def test_pgm_of_12_bits_is_scaled_by_its_largest_value(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 3 1 4095\n" + np.array([0, 1365, 4095], dtype=">u2").tobytes())
    picture = open_picture(path, grey_range=(0, 99))
    assert np.asarray(picture.image)[0, :, 0].tolist() == [0, 85, 255]


def test_hot_pixels_and_values_that_are_no_numbers_do_not_decide_the_range(tmp_path: Path) -> None:
    values = np.tile(np.array([0.0, 100.0, 200.0, 255.0], dtype=np.float32), (100, 25))
    values[0, :4] = [np.nan, np.inf, -np.inf, 1e6]
    picture = open_picture(write_tiff(tmp_path / "a.tif", values))
    rows = np.asarray(picture.image)[:, :, 0]
    assert rows[0, :6].tolist() == [0, 255, 0, 255, 0, 100]
    assert rows[1, :4].tolist() == [0, 100, 200, 255]


def test_where_zero_is_white_the_picture_is_inverted(tmp_path: Path) -> None:
    values = np.array([[0, 1000, 4000]], dtype=np.uint16)
    path = write_tiff(tmp_path / "a.tif", values, photometric=0)
    assert np.asarray(open_picture(path).image)[0, :, 0].tolist() == [255, 191, 0]


def test_one_value_everywhere_is_black_and_no_crash(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.full((4, 4), 7, dtype=np.uint16))
    assert not np.asarray(open_picture(path).image).any()
    assert unstated_range(path) == (7, 7)


def test_only_deep_grey_pictures_without_a_stated_range_have_one_to_tell(tmp_path: Path) -> None:
    values = np.array([[5, 1000, 4000]], dtype=np.uint16)
    assert unstated_range(write_tiff(tmp_path / "a.tif", values)) == (5, 4000)
    assert unstated_range(write_tiff(tmp_path / "b.tif", values, {281: [4095]})) is None
    Image.fromarray(STRIPES).save(tmp_path / "c.png")
    assert unstated_range(tmp_path / "c.png") is None


@pytest.mark.parametrize(
    ("colour", "remark"), [(0, NEARLY_BLACK), (8, NEARLY_BLACK), (9, None), (246, None), (247, NEARLY_WHITE)]
)
def test_nearly_black_or_white_pixels_are_told(colour: int, remark: str | None) -> None:
    pixels = np.full((128, 128, 3), colour, dtype=np.uint8)
    pixels[::40, ::40] = 100
    assert brightness_remark(pixels) == remark
    pixels[:8] = 100
    assert brightness_remark(pixels) is None
    assert brightness_remark(pixels[9:10, 1:2]) == remark


@pytest.mark.parametrize(
    ("background", "colour"), [((250, 255, 252), (255, 250, 60)), ((0, 8, 3), (0, 0, 200))], ids=["white", "black"]
)
@pytest.mark.parametrize(("edge", "told"), [(8, False), (6, True)])
def test_a_small_shape_in_one_colour_is_no_problem_unless_it_is_tiny(
    background: tuple[int, int, int], colour: tuple[int, int, int], edge: int, told: bool
) -> None:
    """Of the 64 x 64 pixels 1.6 % and 0.9 % differ, in one of three colours: 0.5 % and 0.3 % of the values."""
    pixels = np.full((64, 64, 3), background, dtype=np.uint8)
    pixels[10 : 10 + edge, 20 : 20 + edge] = colour
    assert bool(brightness_remark(pixels)) == told


def _bomb(path: Path, width: int, height: int) -> Path:
    """A PNG file of a black picture, which takes a thousandth of its pixels in bytes."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width // 8)) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def test_picture_of_108_megapixels_is_read_and_pillow_is_left_as_it_was(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "large.png", 12000, 9000)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(load_pixels, path, 32)
        with pytest.warns(Image.DecompressionBombWarning), Image.open(path):
            pass
        assert reading.result().shape == (32, 32, 3)
    assert Image.MAX_IMAGE_PIXELS == 1024 * 1024 * 1024 // 4 // 3


def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "a.png", 8, 100)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    expected = f"image {path} cannot be read: it has 60,000 x 60,000 pixels; accepted: up to 500,000,000 in all"
    with pytest.raises(InputError, match=re.escape(expected)):
        open_picture(path)


SETTINGS = """
import sys, warnings
from PIL import Image
before = list(warnings.filters), Image.MAX_IMAGE_PIXELS
import san_core.data.preparation, san_core.predict
assert (list(warnings.filters)[-len(before[0]):], Image.MAX_IMAGE_PIXELS) == before
Image.MAX_IMAGE_PIXELS = 100
with warnings.catch_warnings(record=True) as found:
    Image.open(sys.argv[1]).close()
assert [w.category for w in found] == [Image.DecompressionBombWarning]
san_core.data.images.reading.as_picture(sys.argv[1])
"""


def test_import_changes_no_setting_of_pillow(tmp_path: Path) -> None:
    Image.new("L", (15, 10)).save(tmp_path / "150.png")
    subprocess.run([sys.executable, "-W", "default", "-c", SETTINGS, tmp_path / "150.png"], check=True)


def _heic(brand: bytes, compatible: bytes = b"mif1") -> bytes:
    return struct.pack(">I", 20) + b"ftyp" + brand + bytes(4) + compatible + bytes(100)


@pytest.mark.parametrize("name", ["a.jpg", "a.heic"])
@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1", b"heic"), (b"msf1", b"hevc")])
def test_heic_is_named_whatever_the_file_is_called(
    name: str, brands: tuple[bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(_heic(*brands))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    expected = f"image {path} cannot be read: it is HEIC, whatever its name; install what reads it with: pip install"
    with pytest.raises(InputError, match=re.escape(expected)):
        open_picture(path)


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.jpg"
    heif.from_pillow(Image.fromarray(STRIPES).resize((96, 64), Image.Resampling.NEAREST)).save(path, quality=-1)
    picture = open_picture(path)
    assert picture.image.size == (96, 64)
    assert np.abs(np.asarray(picture.image)[::32, ::32].astype(int) - STRIPES).max() < 12
    assert "HEIF" not in Image.OPEN  # nothing is registered
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=re.escape(f"image {path} cannot be read: ")):
        open_picture(path)


def test_file_in_another_unicode_form_is_read(tmp_path: Path) -> None:
    folder = tmp_path / unicodedata.normalize("NFD", "Bücher")
    folder.mkdir()
    Image.fromarray(STRIPES).save(folder / unicodedata.normalize("NFD", "é.png"))
    found = open_picture(tmp_path / unicodedata.normalize("NFC", "Bücher") / unicodedata.normalize("NFC", "é.png"))
    assert np.asarray(found.image).tolist() == STRIPES.tolist()


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
