import os
import re
import resource
import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from san_core.data import encoded_rows, feature_extraction
from san_core.data.encoded_rows import EncodedRows, Remarks
from san_core.data.feature_extraction import DAMAGED, Images, Loaded, write_images
from san_core.data.fingerprint import survey_images
from san_core.data.images.grey_values import Range
from san_core.data.problems import Problems
from san_core.data.progress_bar import progress_bar
from san_core.errors import InputError
from san_core.models.image_encoder import build_image_encoder
from tests.san_core.data_sets import flaws, paint, write_tiff


def _inputs(size: int = 4) -> dict[str, Any]:
    """To keep pixels: nothing is encoded, so that it is quick."""
    return {"encoder": "small-cnn", "layer": "features", "grid": 1, "image_size": size, "fine_tune": True} | {
        "weights": None
    }


def _paint(folder: Path, count: int) -> dict[str, Path]:
    """Pictures of one colour, each of its own."""
    paths = {f"{number:04}": folder / f"{number}.png" for number in range(count)}
    for number, path in enumerate(paths.values()):
        paint(path, number)
    return paths


def _colour(number: int) -> list[int]:
    return [number * 37 % 256, number * 101 % 256, 90 + number // 256]


def _write(
    files: dict[str, Path], inputs: dict[str, Any], folder: Path, problems: Problems, allowed_loss: float | None = None
) -> list[str]:
    """Writes the rows of images to pixels.npy; returns the keys of the images that have one."""
    written = write_images(Images(files, survey_images(files).hashes), inputs, folder, problems, allowed_loss)
    written.rows.move_to(folder / "pixels.npy")
    return list(written.keys)


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_row_by_row_the_images_come_in_their_order(tmp_path: Path) -> None:
    images = _paint(tmp_path, 150)
    problems = Problems()
    _write(images, _inputs(), tmp_path, problems)
    rows = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert (rows.shape, rows.dtype) == ((150, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(rows[:, 0, 0], [_colour(number) for number in range(150)])
    np.testing.assert_array_equal(rows, np.broadcast_to(rows[:, :1, :1], rows.shape))
    assert problems.found == []


def test_damaged_image_gets_no_row_and_each_remark_is_told(tmp_path: Path) -> None:
    images = _paint(tmp_path, 300)
    images["0007"].write_bytes(b"")
    images["0008"].write_bytes(b"no picture")
    Image.new("L", (5, 5), 40).save(images["0009"])
    exif = Image.Exif()
    exif[274] = 3
    Image.new("CMYK", (5, 5), (99, 9, 9, 9)).save(images["0011"], "JPEG", exif=exif)
    whole = images["0012"].read_bytes()
    images["0012"].write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (5, 5)).save(images["0013"])
    problems = Problems()
    keys = _write(images, _inputs(), tmp_path, problems)
    rows = np.load(tmp_path / "pixels.npy")
    assert keys == [key for key in images if key not in {"0007", "0008", "0012"}]
    assert len(rows) == 297
    np.testing.assert_array_equal(rows[7], 40)
    np.testing.assert_array_equal(rows[[6, 8, 11], 0, 0], [_colour(6), _colour(10), _colour(14)])
    told = flaws(problems)
    assert told[:2] == [
        f"0007: {DAMAGED} (image {images['0007']} cannot be read: it is empty)",
        f"0008: {DAMAGED} (image {images['0008']} cannot be read: it is in no format known here)",
    ]
    assert told[2:5] == [
        "0009: mode L converted to RGB",
        "0011: turned as its EXIF data say",
        "0011: mode CMYK converted to RGB",
    ]
    assert told[5].startswith(f"0012: {DAMAGED} (image {images['0012']} cannot be read: ")
    assert told[6:] == ["0013: picture is nearly black"]
    assert sum(problem.lost for problem in problems.found) == 3


@pytest.mark.parametrize(
    ("total", "damaged", "allowed", "accepted"),
    [(60, 3, None, 3), (60, 4, None, 3), (400, 4, None, 4), (400, 5, None, 4), (60, 6, 0.1, 6), (60, 7, 0.1, 6)],
)
def test_three_damaged_images_are_always_allowed_and_then_a_share(
    total: int, damaged: int, allowed: float | None, accepted: int, tmp_path: Path
) -> None:
    images = _paint(tmp_path, total)
    for number in range(damaged):
        images[f"{number:04}"].write_bytes(b"no picture" + bytes([number]))
    problems = Problems()
    if damaged <= accepted:
        assert len(_write(images, _inputs(), tmp_path, problems, allowed)) == total - damaged
    else:
        expected = (
            f"{damaged} of {total} images cannot be read, accepted: up to {accepted}, or what --allow-loss says: 0000 "
            f"(image {images['0000']} cannot be read: it is in no format known here); 0001 ("
        )
        with pytest.raises(InputError, match=re.escape(expected)):
            _write(images, _inputs(), tmp_path, problems, allowed)
    assert len(problems.found) == damaged


def _count_encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes of all images that are encoded from now on."""
    encoded: list[str] = []
    append = EncodedRows.append

    def counted(self: EncodedRows, rows: NDArray[Any], hashes: Sequence[str], remarks: Sequence[Remarks]) -> None:
        assert len(rows) == len(hashes) == len(remarks)
        encoded.extend(hashes)
        append(self, rows, hashes, remarks)

    monkeypatch.setattr(EncodedRows, "append", counted)
    return encoded


def test_after_too_much_damage_all_is_listed_and_what_was_encoded_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _paint(tmp_path / "images", 300)  # batches of 64
    whole = {key: path.read_bytes() for key, path in images.items()}
    damaged = ["0000", "0070", "0090", "0091", "0200", "0299"]
    for key in damaged:
        images[key].write_bytes(whole[key][:30])
    encoded = _count_encoded(monkeypatch)
    problems = Problems()
    with pytest.raises(InputError, match="6 of 300 images cannot be read, .*; the 63 encoded so far are kept"):
        _write(images, _inputs(), tmp_path, problems)
    assert [problem.where for problem in problems.found] == damaged
    assert len(encoded) == 63  # the second batch has the fourth damaged one
    for key in damaged[2:]:
        images[key].write_bytes(whole[key])
    encoded.clear()
    new = tmp_path / "images" / "new.png"
    paint(new, 1000)
    images = {"0003a": new, **images}
    images = {key: images[key] for key in sorted(images)}
    assert _write(images, _inputs(), tmp_path, Problems()) == [key for key in images if key not in damaged[:2]]
    assert len(encoded) == 301 - 2 - 63
    rows = np.load(tmp_path / "pixels.npy")
    numbers = [1000 if key == "0003a" else int(key) for key in images if key not in damaged[:2]]
    np.testing.assert_array_equal(rows[:, 0, 0], [_colour(number) for number in numbers])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "pixels.npy"]


def test_mending_one_image_encodes_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _paint(tmp_path / "images", 60)
    Image.new("L", (5, 5), 40).save(images["0030"])
    whole = images["0007"].read_bytes()
    images["0007"].write_bytes(whole[:30])
    first, second = Problems(), Problems()
    write_images(Images(images, survey_images(images).hashes), _inputs(), tmp_path, first)
    encoded = _count_encoded(monkeypatch)
    opened = _count_opened(monkeypatch)
    images["0007"].write_bytes(whole)
    assert _write(images, _inputs(), tmp_path, second) == list(images)
    assert (len(encoded), opened) == (1, [images["0007"]])
    assert flaws(second) == ["0030: mode L converted to RGB"]
    (tmp_path / "fresh").mkdir()
    _write(images, _inputs(), tmp_path / "fresh", Problems())
    assert (tmp_path / "pixels.npy").read_bytes() == (tmp_path / "fresh" / "pixels.npy").read_bytes()


@pytest.mark.parametrize("change", [{"image_size": 8}, {"weights": "other"}, {"grey_range": [0.0, 9.0]}])
def test_rows_that_depend_on_something_else_are_not_used(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _paint(tmp_path / "images", 20)
    monkeypatch.setattr(feature_extraction, "_build_encoder", lambda *_: build_image_encoder("small-cnn"))
    write_images(Images(images, survey_images(images).hashes), _inputs(), tmp_path, Problems())
    encoded = _count_encoded(monkeypatch)
    _write(images, _inputs() | change, tmp_path, Problems())
    assert len(encoded) == 20


def test_images_of_equal_content_have_equal_rows(tmp_path: Path) -> None:
    images = _paint(tmp_path, 70)
    images["0050"] = images["0003"]
    images["0069"] = images["0003"]
    hashes = survey_images(images).hashes
    first = {key: images[key] for key in list(images)[:10]}
    write_images(Images(first, hashes), _inputs(), tmp_path, Problems())
    _write(images, _inputs(), tmp_path, Problems())
    rows = np.load(tmp_path / "pixels.npy")
    numbers = [3 if number in {50, 69} else number for number in range(70)]
    np.testing.assert_array_equal(rows[:, 0, 0], [_colour(number) for number in numbers])


def test_deep_grey_images_are_scaled_by_the_range_of_all_of_them(tmp_path: Path) -> None:
    images = _paint(tmp_path, 3)
    write_tiff(images["0001"], np.full((4, 4), 300, dtype=np.uint16))
    dark, bright = np.full((4, 4), -1024, dtype=np.int16), np.full((4, 4), 3071, dtype=np.int16)
    write_tiff(tmp_path / "dark.tif", dark)
    write_tiff(tmp_path / "bright.tif", bright)
    write_tiff(tmp_path / "stated.tif", np.full((4, 4), 9999, dtype=np.uint16), {281: [20000]})
    images |= {name: tmp_path / f"{name}.tif" for name in ("bright", "dark", "stated")}
    survey = survey_images(images)
    assert survey.grey_range == (-1024, 3071)
    problems = Problems()
    write_images(Images(images, survey.hashes, survey.grey_range), _inputs(), tmp_path, problems)
    rows = np.load(tmp_path / "encoded-1.npy")
    assert rows[[1, 3, 4, 5], 0, 0, 0].tolist() == [round((300 + 1024) / 4095 * 255), 255, 0, 127]
    assert flaws(problems) == [
        "0001: mode I;16 converted to RGB by the range of the data set, -1024 to 3071",
        "bright: mode I converted to RGB by the range of the data set, -1024 to 3071",
        "bright: picture is nearly white",
        "dark: mode I converted to RGB by the range of the data set, -1024 to 3071",
        "dark: picture is nearly black",
        "stated: mode I;16 converted to RGB by the range that its file states",
    ]


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", None])
def test_strict_makes_the_first_problem_an_error(mode: str | None, tmp_path: Path) -> None:
    images = _paint(tmp_path, 200)
    if mode:
        Image.new(mode, (5, 5)).save(images["0007"], "TIFF")
    else:
        images["0007"].write_bytes(b"")
    kind = f"mode {mode} converted to RGB" if mode else DAMAGED
    with pytest.raises(InputError, match=re.escape(f"0007: {kind}")):
        _write(images, _inputs(), tmp_path, Problems(strict=True))


def _interrupt(patch: pytest.MonkeyPatch, before_batch: int) -> None:
    """Ctrl-C while the images of a batch, the first is 1, are encoded: read, but not written."""
    append = EncodedRows.append
    batches = []

    def interrupted(self: EncodedRows, rows: NDArray[Any], hashes: Sequence[str], remarks: Sequence[Remarks]) -> None:
        batches.append(1)
        if len(batches) == before_batch:
            raise KeyboardInterrupt
        append(self, rows, hashes, remarks)

    patch.setattr(EncodedRows, "append", interrupted)


def _count_opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    opened: list[Path] = []
    load = feature_extraction._load

    def counted(key: str, path: Path, size: int, grey_range: Range | None) -> Loaded:
        opened.append(path)
        return load(key, path, size, grey_range)

    monkeypatch.setattr(feature_extraction, "_load", counted)
    return opened


@pytest.mark.parametrize("before_batch", [1, 2, 5])
def test_interrupted_file_is_continued_and_equals_one_that_was_not_interrupted(
    before_batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _paint(tmp_path / "images", 300)  # batches of 64
    for number in (3, 70, 130, 290):
        Image.new("L", (5, 5), 40 + number // 10).save(images[f"{number:04}"])
    images["0066"].write_bytes(b"")
    parts = {name: tmp_path / name for name in ("whole", "stopped")}
    told = {}
    for name, folder in parts.items():
        folder.mkdir()
        if name == "stopped":
            with monkeypatch.context() as patch:
                _interrupt(patch, before_batch)
                with pytest.raises(KeyboardInterrupt):
                    _write(images, _inputs(), folder, Problems())
            opened = _count_opened(monkeypatch)
        problems = Problems()
        _write(images, _inputs(), folder, problems)
        told[name] = flaws(problems)
    left = list(images.values())[64 * (before_batch - 1) :]
    assert sorted(opened) == sorted({*left, images["0066"]})
    assert (parts["stopped"] / "pixels.npy").read_bytes() == (parts["whole"] / "pixels.npy").read_bytes()
    assert told["stopped"] == told["whole"]
    assert len(told["whole"]) == 5


@pytest.mark.parametrize("content", ["", '{"inputs": 64', '{"inputs": 64}\n', "[]\n", "cut", "line", "more", "rows"])
def test_log_damaged_by_a_power_cut_counts_as_far_as_it_is_whole(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _paint(tmp_path / "images", 100)
    with monkeypatch.context() as patch:
        _interrupt(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            _write(images, _inputs(), tmp_path, Problems())
    log = tmp_path / "encoded.jsonl"
    text = log.read_text()
    if content == "rows":
        os.truncate(tmp_path / "encoded-1.npy", 3000)
    else:
        changed = {"cut": text[:-30], "line": text[:200] + "#" + text[201:], "more": text + '["0", []]\n'}
        log.write_text(changed.get(content, content))
    _write(images, _inputs(), tmp_path, Problems())
    (tmp_path / "whole").mkdir()
    _write(images, _inputs(), tmp_path / "whole", Problems())
    assert (tmp_path / "pixels.npy").read_bytes() == (tmp_path / "whole" / "pixels.npy").read_bytes()


def test_rows_are_on_the_disk_before_the_progress_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _paint(tmp_path / "images", 300)
    saved = []
    save = EncodedRows.save

    def watched(self: EncodedRows) -> None:
        save(self)
        lines = (tmp_path / "encoded.jsonl").read_text().count("\n")
        saved.append((lines - 1, (tmp_path / "encoded-1.npy").stat().st_size))

    monkeypatch.setattr(encoded_rows, "_SECONDS_BETWEEN_SAVES", 0)
    monkeypatch.setattr(EncodedRows, "save", watched)
    _write(images, _inputs(), tmp_path, Problems())
    header = saved[-1][1] - 300 * 48
    assert [done for done, _ in saved[:4]] == [64, 128, 192, 256]
    assert all(size >= header + 48 * done for done, size in saved)


def test_complete_file_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _paint(tmp_path / "images", 100)
    Image.new("L", (5, 5), 40).save(images["0003"])
    first, second = Problems(), Problems()
    write_images(Images(images, survey_images(images).hashes), _inputs(), tmp_path, first)
    opened = _count_opened(monkeypatch)
    _write(images, _inputs(), tmp_path, second)
    assert opened == []
    assert flaws(second) == flaws(first) == ["0003: mode L converted to RGB"]


def test_full_disk_is_an_error_and_what_was_written_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _paint(tmp_path / "images", 300)
    size = 32  # 3 kB for each
    monkeypatch.setattr(encoded_rows, "_SECONDS_BETWEEN_SAVES", 0)
    with _largest_file(500_000), pytest.raises(OSError, match="File too large"):
        _write(images, _inputs(size), tmp_path, Problems())
    opened = _count_opened(monkeypatch)
    _write(images, _inputs(size), tmp_path, Problems())
    assert 100 < len(opened) < 300
    rows = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    np.testing.assert_array_equal(rows[:, 5, 5], [_colour(number) for number in range(300)])


def test_as_many_images_as_there_are_cores_are_decoded_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, cores = 448, 4
    together = threading.Barrier(cores)
    load = feature_extraction._load

    def load_together(key: str, path: Path, size: int, grey_range: Range | None) -> Loaded:
        together.wait(timeout=60)  # an error unless that many are at it
        return load(key, path, size, grey_range)

    monkeypatch.setattr(feature_extraction, "usable_cpus", lambda: cores)
    monkeypatch.setattr(feature_extraction, "_load", load_together)
    _write(_paint(tmp_path / "images", 3 * cores), _inputs(size), tmp_path, Problems())
    rows = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    np.testing.assert_array_equal(rows[:, 5, 5], [_colour(number) for number in range(3 * cores)])


def test_speed_shown_in_the_end_is_that_of_the_whole_run() -> None:
    clock = [0.0]
    bars = progress_bar("images")
    bars.get_time = lambda: clock[0]
    bar = bars.add_task("images", total=1000, completed=400, done_before=400)  # by a run before
    for clock[0], images in ((90, 100), (95, 250), (100, 250)):
        bars.advance(bar, images)
    shown = [column(bars.tasks[0]) for column in bars.columns]
    assert "6.0 images/s" in [str(text) for text in shown]  # 600 in 100 seconds


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    paint(path)
    size = 300  # 270 kB for each, 81 MB in all; batches of two
    tracemalloc.start()
    files = {f"{number:03}": path for number in range(300)}
    written = write_images(Images(files, hashes={key: key for key in files}), _inputs(size), tmp_path, Problems())
    written.rows.move_to(tmp_path / "pixels.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "pixels.npy").stat().st_size > 80e6
    assert peak < 8e6
