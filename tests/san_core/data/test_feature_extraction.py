import json
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

from san_core.data import feature_extraction
from san_core.data.feature_extraction import write_images
from san_core.data.problems import Problem, Problems
from san_core.data.progress_bar import progress_bar
from san_core.errors import InputError
from tests.san_core.data_sets import flaws, paint

UNREADABLE = "image cannot be read, its questions are asked without it"


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
    return [number * 37 % 256, number * 101 % 256, 90]


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
    write_images(images, _inputs(), tmp_path, problems)
    rows = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert (rows.shape, rows.dtype) == ((150, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(rows[:, 0, 0], [_colour(number) for number in range(150)])
    np.testing.assert_array_equal(rows, np.broadcast_to(rows[:, :1, :1], rows.shape))
    assert problems.found == []


def test_unreadable_image_becomes_grey_and_each_remark_is_told(tmp_path: Path) -> None:
    images = _paint(tmp_path, 300)
    images["0007"].write_bytes(b"")
    images["0008"].unlink()
    Image.new("L", (5, 5), 40).save(images["0009"])
    exif = Image.Exif()
    exif[274] = 3
    Image.new("CMYK", (5, 5)).save(images["0011"], "JPEG", exif=exif)
    whole = images["0012"].read_bytes()
    images["0012"].write_bytes(whole[: len(whole) // 2])
    problems = Problems()
    write_images(images, _inputs(), tmp_path, problems)
    rows = np.load(tmp_path / "pixels.npy")
    np.testing.assert_array_equal(rows[[7, 8, 12]], 127)
    np.testing.assert_array_equal(rows[9], 40)
    np.testing.assert_array_equal(rows[10, 0, 0], _colour(10))
    told = flaws(problems)
    assert told[:2] == [
        f"0007: {UNREADABLE} (image {images['0007']} cannot be read: it is empty)",
        f"0008: {UNREADABLE} (image {images['0008']} does not exist)",
    ]
    assert told[2:5] == [
        "0009: mode L converted to RGB",
        "0011: turned as its EXIF data say",
        "0011: mode CMYK converted to RGB",
    ]
    assert told[5].startswith(f"0012: {UNREADABLE} (image {images['0012']} cannot be read: ")
    assert len(told) == 6


@pytest.mark.parametrize(("total", "unreadable", "accepted"), [(200, 2, True), (199, 2, False), (99, 1, False)])
def test_one_in_a_hundred_may_be_unreadable(total: int, unreadable: int, accepted: bool, tmp_path: Path) -> None:
    images = _paint(tmp_path, total)
    for number in range(unreadable):
        images[f"{number:04}"].write_bytes(b"no picture")
    problems = Problems()
    if accepted:
        write_images(images, _inputs(), tmp_path, problems)
        assert len(problems.found) == unreadable
        return
    expected = (
        rf"{unreadable} of the first {min(total, 64)} images are unreadable, accepted: up to 1% of all {total}; "
        "the first: 0000 "
        rf"\(image {images['0000']} cannot be read: it is in no format known here\)"
    )
    with pytest.raises(InputError, match=expected):
        write_images(images, _inputs(), tmp_path, problems)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", None])
def test_strict_makes_the_first_problem_an_error(mode: str | None, tmp_path: Path) -> None:
    images = _paint(tmp_path, 200)
    if mode:
        Image.new(mode, (5, 5)).save(images["0007"], "TIFF")
    else:
        images["0007"].unlink()
    kind = f"mode {mode} converted to RGB" if mode else UNREADABLE
    with pytest.raises(InputError, match=re.escape(f"0007: {kind}")):
        write_images(images, _inputs(), tmp_path, Problems(strict=True))


def _interrupt(patch: pytest.MonkeyPatch, before_batch: int) -> None:
    """Ctrl-C while the images of a batch, the first is 1, are encoded: read, but not written."""
    append = feature_extraction._RowFile.append
    batches = []

    def interrupted(self: feature_extraction._RowFile, rows: NDArray[np.uint8], problems: Sequence[Problem]) -> None:
        batches.append(1)
        if len(batches) == before_batch:
            raise KeyboardInterrupt
        append(self, rows, problems)

    patch.setattr(feature_extraction._RowFile, "append", interrupted)


def _count_opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    opened: list[Path] = []
    load = feature_extraction._load

    def counted(path: Path, size: int) -> feature_extraction.Loaded:
        opened.append(path)
        return load(path, size)

    monkeypatch.setattr(feature_extraction, "_load", counted)
    return opened


@pytest.mark.parametrize("before_batch", [1, 2, 5])
def test_interrupted_file_is_continued_and_equals_one_that_was_not_interrupted(
    before_batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _paint(tmp_path / "images", 300)  # batches of 64
    for number in (3, 70, 130, 290):
        Image.new("L", (5, 5), 40).save(images[f"{number:04}"])
    images["0066"].unlink()
    parts = {name: tmp_path / name for name in ("whole", "stopped")}
    told = {}
    for name, folder in parts.items():
        folder.mkdir()
        if name == "stopped":
            with monkeypatch.context() as patch:
                _interrupt(patch, before_batch)
                with pytest.raises(KeyboardInterrupt):
                    write_images(images, _inputs(), folder, Problems())
            opened = _count_opened(monkeypatch)
        problems = Problems()
        write_images(images, _inputs(), folder, problems)
        told[name] = flaws(problems)
    assert sorted(opened) == sorted(list(images.values())[64 * (before_batch - 1) :])
    assert (parts["stopped"] / "pixels.npy").read_bytes() == (parts["whole"] / "pixels.npy").read_bytes()
    assert told["stopped"] == told["whole"]
    assert len(told["whole"]) == 5


@pytest.mark.parametrize("content", ["", '{"done": 64', '{"done": 64}', "[]"])
def test_progress_file_damaged_by_a_power_cut_is_ignored(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _paint(tmp_path / "images", 100)
    with monkeypatch.context() as patch:
        _interrupt(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            write_images(images, _inputs(), tmp_path, Problems())
    (tmp_path / "progress.json").write_text(content)
    write_images(images, _inputs(), tmp_path, Problems())
    (tmp_path / "whole").mkdir()
    write_images(images, _inputs(), tmp_path / "whole", Problems())
    assert (tmp_path / "pixels.npy").read_bytes() == (tmp_path / "whole" / "pixels.npy").read_bytes()


def test_rows_are_on_the_disk_before_the_progress_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _paint(tmp_path / "images", 300)
    saved = []
    save_progress = feature_extraction._RowFile.save_progress

    def watched(self: feature_extraction._RowFile) -> None:
        save_progress(self)
        size = (tmp_path / "pixels.npy").stat().st_size
        saved.append((json.loads((tmp_path / "progress.json").read_text())["done"], size))

    monkeypatch.setattr(feature_extraction, "_SECONDS_BETWEEN_SAVES", 0)
    monkeypatch.setattr(feature_extraction._RowFile, "save_progress", watched)
    write_images(images, _inputs(), tmp_path, Problems())
    header = saved[-1][1] - 300 * 48
    assert [done for done, _ in saved[:4]] == [64, 128, 192, 256]
    assert all(size >= header + 48 * done for done, size in saved)


def test_complete_file_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _paint(tmp_path / "images", 100)
    Image.new("L", (5, 5), 40).save(images["0003"])
    first, second = Problems(), Problems()
    write_images(images, _inputs(), tmp_path, first)
    opened = _count_opened(monkeypatch)
    write_images(images, _inputs(), tmp_path, second)
    assert opened == []
    assert flaws(second) == flaws(first) == ["0003: mode L converted to RGB"]


def test_full_disk_is_an_error_and_what_was_written_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _paint(tmp_path / "images", 300)
    size = 32  # 3 kB for each
    monkeypatch.setattr(feature_extraction, "_SECONDS_BETWEEN_SAVES", 0)
    with _largest_file(500_000), pytest.raises(OSError, match="File too large"):
        write_images(images, _inputs(size), tmp_path, Problems())
    opened = _count_opened(monkeypatch)
    write_images(images, _inputs(size), tmp_path, Problems())
    assert 100 < len(opened) < 300
    rows = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    np.testing.assert_array_equal(rows[:, 5, 5], [_colour(number) for number in range(300)])


def test_as_many_images_as_there_are_cores_are_decoded_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, cores = 448, 4
    together = threading.Barrier(cores)
    load = feature_extraction._load

    def load_together(path: Path, size: int) -> feature_extraction.Loaded:
        together.wait(timeout=600)  # an error unless that many are at it
        return load(path, size)

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(feature_extraction, "_load", load_together)
    write_images(_paint(tmp_path / "images", 3 * cores), _inputs(size), tmp_path, Problems())
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
    write_images({f"{number:03}": path for number in range(300)}, _inputs(size), tmp_path, Problems())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "pixels.npy").stat().st_size > 80e6
    assert peak < 8e6
