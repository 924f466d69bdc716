"""Writes the region features of every image of a data set, or its pixels; continues where it was interrupted."""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from san_core.data.images import open_to_resize, to_pixels
from san_core.data.prepared import FEATURES, PIXELS
from san_core.data.problems import Problem, Problems
from san_core.data.progress_bar import progress_bar
from san_core.errors import InputError
from san_core.files import sync
from san_core.hardware import autocast, best_device
from san_core.models.batch_norm_fusion import fuse_batch_norm
from san_core.models.image_encoder import ImageEncoder, build_image_encoder, layer_of

MAX_UNREADABLE = 0.01
"""Largest share of unreadable images; with more, the folder is probably the wrong one."""

UNREADABLE = "image cannot be read, its questions are asked without it"

PROGRESS = "progress.json"
"""File that records how many images are written; the caller deletes it when the folder is complete."""

_SECONDS_BETWEEN_SAVES = 5
# A CPU encodes large images three times as fast one by one: activations stay below 32 MB, above which the C library
# requests new, zeroed memory from the kernel each time. A GPU is faster with many at once.
_PIXELS_PER_STEP = {"cpu": 448 * 448, "cuda": 64 * 224 * 224}
_GREY = 127

Loaded = tuple[NDArray[np.uint8], list[tuple[str, str]]]
"""Pixels [S, S, 3], and the kind and detail of each problem of the image."""


def write_images(images: Mapping[str, Path], inputs: Mapping[str, Any], folder: Path, problems: Problems) -> None:
    """Writes one row for each image: region features [R, C], or pixels [S, S, 3] for fine-tuning.

    An unreadable image is replaced by a grey one, so that its questions still count. Rows written before an
    interruption are kept.

    Args:
        images: file of each image key, in the order of the rows.
        inputs: encoder, layer, grid, image_size and fine_tune, as in the manifest.
        folder: folder to write to; it may contain the first rows already.
        problems: problems found so far; those of the images are added.

    Raises:
        InputError: if more than 1 % of the images are unreadable, or the encoder's weights are missing.
    """
    size = inputs["image_size"]
    if inputs["fine_tune"]:
        if inputs["weights"]:
            build_image_encoder(inputs["encoder"])  # reports missing weights now, not when training starts
        rows = _RowFile(folder / PIXELS, len(images), (size, size, 3), np.dtype(np.uint8))
        _fill(rows, images, size, lambda pixels: pixels, problems)
        return
    encoder = build_image_encoder(inputs["encoder"], layer=inputs["layer"], grid=inputs["grid"])
    encoder = fuse_batch_norm(encoder).to(best_device())
    shape = (inputs["grid"] ** 2, layer_of(inputs["encoder"], inputs["layer"]).channels)
    # NumPy has no bfloat16: the file contains its bits as 16-bit integers.
    rows = _RowFile(folder / FEATURES, len(images), shape, np.dtype(np.int16))
    _fill(rows, images, size, lambda pixels: encode(encoder, pixels).view(torch.int16).cpu().numpy(), problems)


@torch.inference_mode()
def encode(encoder: ImageEncoder, pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Encodes pixels [B, S, S, 3] as region features [B, R, C] in bfloat16, the type in prepared data."""
    device = encoder.mean.device
    with autocast(device, "auto"):
        features: torch.Tensor = encoder(torch.from_numpy(pixels).to(device))
    return features.bfloat16().contiguous()


class _RowFile:
    """A .npy file written row by row, with a JSON file beside it that records how many rows are written.

    It uses plain writes, not a memory map: with a full disk they raise an error, where a map would kill the process.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.done = 0
        self.problems: Sequence[Problem] = ()
        self._progress_file = path.with_name(PROGRESS)
        if path.exists() and self._progress_file.exists():
            with suppress(ValueError, KeyError, TypeError):  # after a power cut the file may be incomplete
                progress = json.loads(self._progress_file.read_text(encoding="utf-8"))
                self.problems = [Problem(**problem) for problem in progress["problems"]]
                self.done = progress["done"]
        self._file = path.open("r+b" if self.done else "wb")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_2_0(self._file, header)
        self._file.seek(self.done * dtype.itemsize * int(np.prod(shape)), os.SEEK_CUR)
        self._file.truncate()
        self._problem_count = len(self.problems)
        self._saved_at = time.monotonic()

    def append(self, rows: NDArray[Any], problems: Sequence[Problem]) -> None:
        """Writes further rows, and every few seconds saves the progress, from which an interrupted run continues.

        Args:
            rows: rows of the next images.
            problems: problems of all images so far, including these.
        """
        self._file.write(np.ascontiguousarray(rows).data)
        self.done, self.problems, self._problem_count = self.done + len(rows), problems, len(problems)
        if time.monotonic() - self._saved_at > _SECONDS_BETWEEN_SAVES:
            self.save_progress()

    def save_progress(self) -> None:
        """Writes how many rows are written to the JSON file, once the rows are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        partial = self._progress_file.with_suffix(".partial")
        progress = {
            "done": self.done,
            "problems": [asdict(problem) for problem in self.problems[: self._problem_count]],
        }
        partial.write_text(json.dumps(progress), encoding="utf-8")
        sync(partial)
        partial.replace(self._progress_file)
        self._saved_at = time.monotonic()

    def close(self) -> None:
        """Closes the file and leaves the JSON file, so that after a later interruption no image is encoded again."""
        try:
            self.save_progress()
        finally:
            self._file.close()


def _fill(
    rows: _RowFile,
    images: Mapping[str, Path],
    size: int,
    convert: Callable[[NDArray[np.uint8]], NDArray[Any]],
    problems: Problems,
) -> None:
    """Loads, converts and writes the images that are not in the file yet."""
    before = len(problems.found)
    for problem in rows.problems:
        problems.append(problem)
    with progress_bar("images") as bars:
        bar = bars.add_task("images", total=len(images), completed=rows.done, done_before=rows.done)
        with closing(rows):
            for batch in _load_batches(images, rows.done, size):
                if _add_problems(batch, problems):
                    _check_readable(problems.found[before:], rows.done + len(batch), len(images))
                rows.append(convert(np.stack([pixels for _, (pixels, _) in batch])), problems.found[before:])
                bars.advance(bar, len(batch))


def _add_problems(batch: Sequence[tuple[str, Loaded]], problems: Problems) -> bool:
    """Adds the problems of a batch; returns whether one of its images is unreadable."""
    found = [(kind, key, detail) for key, (_, of_image) in batch for kind, detail in of_image]
    for kind, key, detail in found:
        problems.add(kind, key, detail)
    return any(kind == UNREADABLE for kind, _, _ in found)


def _check_readable(found: Sequence[Problem], seen: int, total: int) -> None:
    """Raises an InputError if too many images are unreadable."""
    unreadable = [problem for problem in found if problem.kind == UNREADABLE]
    if len(unreadable) > MAX_UNREADABLE * total:
        raise InputError(
            f"{len(unreadable):,} of the first {seen:,} images are unreadable, accepted: up to {MAX_UNREADABLE:.0%} "
            f"of all {total:,}; the first: {unreadable[0].where} ({unreadable[0].detail})"
        )


def _load_batches(images: Mapping[str, Path], start: int, size: int) -> Iterator[list[tuple[str, Loaded]]]:
    """Yields the keys of images with their loaded pixels, as many as are encoded in one step."""
    step = max(1, min(64, _PIXELS_PER_STEP[best_device().type] // size**2))
    cores = os.cpu_count() or 1
    keys = list(images)[start:]
    loaded = zip(keys, _load_ahead((images[key] for key in keys), size, max(step, cores)), strict=True)
    while batch := list(islice(loaded, step)):
        yield batch


def _load_ahead(paths: Iterable[Path], size: int, most: int) -> Iterator[Loaded]:
    """Yields the images in order, while threads decode up to `most` of the next ones."""
    with ThreadPoolExecutor() as pool:
        futures = (pool.submit(_load, path, size) for path in paths)
        ahead = deque(islice(futures, most))
        try:
            while ahead:
                loaded = ahead.popleft().result()
                ahead.extend(islice(futures, 1))
                yield loaded
        finally:
            for future in ahead:
                future.cancel()


def _load(path: Path, size: int) -> Loaded:
    try:
        picture = open_to_resize(path, size)
    except InputError as error:
        return np.full((size, size, 3), _GREY, np.uint8), [(UNREADABLE, str(error))]
    return to_pixels(picture, size), [(remark, "") for remark in picture.remarks]
