"""Writes every image of a data set once, as region features or as pixels; goes on where it was stopped."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from san_core.data.images import open_picture, to_pixels
from san_core.data.prepared import FEATURES, PIXELS
from san_core.data.problems import Problem, Problems
from san_core.errors import InputError
from san_core.hardware import autocast, best_device
from san_core.models.image_encoder import ImageEncoder, build_image_encoder, layer_of

MOST_UNREADABLE = 0.01
"""Share of images that may be unreadable; with more, something is wrong with the folder."""

UNREADABLE = "image cannot be read, its questions are asked without it"

PROGRESS = "progress.json"
"""Note of how far the images got; whoever completes the folder removes it."""

_SECONDS_BETWEEN_NOTES = 5
# A CPU encodes large images three times as fast one by one: activations stay below the 32 MB from which the
# C library asks the kernel for fresh, zeroed memory each time. A GPU wants many at once.
_PIXELS_PER_STEP = {"cpu": 448 * 448, "cuda": 64 * 224 * 224}
_GREY = 127

Loaded = tuple[NDArray[np.uint8], list[tuple[str, str]]]
"""Pixels [S, S, 3], and each flaw's kind and detail."""


def write_images(images: Mapping[str, Path], inputs: Mapping[str, Any], folder: Path, problems: Problems) -> None:
    """Writes one row for each image: region features [R, C], or pixels [S, S, 3] for fine-tuning.

    An unreadable image becomes a grey one, so that its questions stay in every count. What was written
    before an interruption is kept.

    Args:
        images: file of each image key, in the order of the rows.
        inputs: encoder, layer, grid, image_size and fine_tune, as in the manifest.
        folder: where to write; may hold a part already.
        problems: told of every flaw.

    Raises:
        InputError: if more than 1 % of the images are unreadable, or the encoder's weights are missing.
    """
    size = inputs["image_size"]
    if inputs["fine_tune"]:
        if inputs["weights"]:
            build_image_encoder(inputs["encoder"])  # missing weights are told of now, not when training starts
        table = _Table(folder / PIXELS, len(images), (size, size, 3), np.dtype(np.uint8))
        _fill(table, images, size, lambda pixels: pixels, problems)
        return
    encoder = build_image_encoder(inputs["encoder"], layer=inputs["layer"], grid=inputs["grid"]).to(best_device())
    shape = (inputs["grid"] ** 2, layer_of(inputs["encoder"], inputs["layer"]).channels)
    # NumPy has no bfloat16: the file holds its bits as 16-bit integers.
    table = _Table(folder / FEATURES, len(images), shape, np.dtype(np.int16))
    _fill(table, images, size, lambda pixels: encode(encoder, pixels).view(torch.int16).cpu().numpy(), problems)


@torch.inference_mode()
def encode(encoder: ImageEncoder, pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Pixels [B, S, S, 3] to region features [B, R, C] in bfloat16, as prepared data hold them."""
    device = encoder.mean.device
    with autocast(device, "auto"):
        features: torch.Tensor = encoder(torch.from_numpy(pixels).to(device))
    return features.bfloat16().contiguous()


class _Table:
    """A .npy file that is written row by row, with a note beside it of how far it got.

    Plain writes, not a memory map: a full disk is an error then, and not the end of the process.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.rows = rows
        self.done = 0
        self.problems: Sequence[Problem] = ()
        self._note = path.with_name(PROGRESS)
        if path.exists() and self._note.exists():
            note = json.loads(self._note.read_text(encoding="utf-8"))
            self.done, self.problems = note["done"], [Problem(**problem) for problem in note["problems"]]
        self._file = path.open("r+b" if self.done else "wb")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_2_0(self._file, header)
        self._file.seek(self.done * dtype.itemsize * int(np.prod(shape)), os.SEEK_CUR)
        self._file.truncate()
        self._flaws = len(self.problems)
        self._noted = time.monotonic()

    def append(self, rows: NDArray[Any], problems: Sequence[Problem]) -> None:
        """Writes further rows; notes now and then, for an interrupted preparation to go on from.

        Args:
            rows: of the next images.
            problems: the flaws of all images so far, these included.
        """
        self._file.write(np.ascontiguousarray(rows).data)
        self.done, self.problems, self._flaws = self.done + len(rows), problems, len(problems)
        if time.monotonic() - self._noted > _SECONDS_BETWEEN_NOTES:
            self.note()

    def note(self) -> None:
        """Notes how far it got, once that is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        partial = self._note.with_suffix(".partial")
        note = {"done": self.done, "problems": [asdict(problem) for problem in self.problems[: self._flaws]]}
        partial.write_text(json.dumps(note), encoding="utf-8")
        partial.replace(self._note)
        self._noted = time.monotonic()

    def close(self) -> None:
        """Closes the file; the note stays, so that an interruption later on costs no image."""
        try:
            self.note()
        finally:
            self._file.close()


def _fill(
    table: _Table,
    images: Mapping[str, Path],
    size: int,
    turn: Callable[[NDArray[np.uint8]], NDArray[Any]],
    problems: Problems,
) -> None:
    """Loads, turns and writes the images that the table still lacks."""
    found = Problems(strict=problems.strict, found=table.problems)
    with progress() as bars:
        bar = bars.add_task("images", total=len(images), completed=table.done)
        with closing(table):
            for keys, loaded in _load_batches(images, table.done, size):
                for key, (_, flaws) in zip(keys, loaded, strict=True):
                    for kind, detail in flaws:
                        found.add(kind, key, detail)
                _check_readable(found, len(images))
                table.append(turn(np.stack([pixels for pixels, _ in loaded])), found.found)
                bars.advance(bar, len(keys))
    problems.found.extend(found.found)


def _check_readable(found: Problems, total: int) -> None:
    """Stops where too many images are unreadable for the data set to be the one that was meant."""
    unreadable = [problem for problem in found.found if problem.kind == UNREADABLE]
    if len(unreadable) > MOST_UNREADABLE * total:
        raise InputError(
            f"{len(unreadable)} of {total} images are unreadable, accepted: up to {MOST_UNREADABLE:.0%}; the first: "
            f"{unreadable[0].where} ({unreadable[0].detail})"
        )


def _load_batches(images: Mapping[str, Path], start: int, size: int) -> Iterator[tuple[list[str], list[Loaded]]]:
    """Yields keys and what was loaded of them; the next batch is decoded while this one is used."""
    keys = list(images)
    step = max(1, min(64, _PIXELS_PER_STEP[best_device().type] // size**2))
    with ThreadPoolExecutor() as pool:

        def submit(first: int) -> list[Future[Loaded]]:
            return [pool.submit(_load, images[key], size) for key in keys[first : first + step]]

        ahead = submit(start)
        try:
            for first in range(start, len(keys), step):
                batch, ahead = ahead, submit(first + step)
                yield keys[first : first + step], [future.result() for future in batch]
        finally:
            for future in ahead:
                future.cancel()


def _load(path: Path, size: int) -> Loaded:
    try:
        picture = open_picture(path)
    except InputError as error:
        return np.full((size, size, 3), _GREY, np.uint8), [(UNREADABLE, str(error))]
    return to_pixels(picture, size), [(remark, "") for remark in picture.remarks]


class _Speed(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} images/s")


def progress() -> Progress:
    """A bar on stderr with counts, images per second and the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
    )
