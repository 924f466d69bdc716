"""Writes every image of a data set once, as region features or as pixels; goes on where it was stopped."""

import json
import os
import sys
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

from san_core.data.images import open_to_resize, to_pixels
from san_core.data.prepared import FEATURES, PIXELS
from san_core.data.problems import Problem, Problems
from san_core.errors import InputError
from san_core.files import sync
from san_core.hardware import autocast, best_device
from san_core.models.folding import folded
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
    encoder = build_image_encoder(inputs["encoder"], layer=inputs["layer"], grid=inputs["grid"])
    encoder = folded(encoder).to(best_device())
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
            with suppress(ValueError, KeyError, TypeError):  # a machine that lost power may leave half a note
                note = json.loads(self._note.read_text(encoding="utf-8"))
                self.problems = [Problem(**problem) for problem in note["problems"]]
                self.done = note["done"]
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
        sync(partial)
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
    before = len(problems.found)
    for problem in table.problems:
        problems.take(problem)
    with progress() as bars:
        bar = bars.add_task("images", total=len(images), completed=table.done, done_before=table.done)
        with closing(table):
            for batch in _load_batches(images, table.done, size):
                if _tell(batch, problems):
                    _check_readable(problems.found[before:], table.done + len(batch), len(images))
                table.append(turn(np.stack([pixels for _, (pixels, _) in batch])), problems.found[before:])
                bars.advance(bar, len(batch))


def _tell(batch: Sequence[tuple[str, Loaded]], problems: Problems) -> bool:
    """Notes a batch's flaws; returns whether an image of it is unreadable."""
    flaws = [(kind, key, detail) for key, (_, told) in batch for kind, detail in told]
    for kind, key, detail in flaws:
        problems.add(kind, key, detail)
    return any(kind == UNREADABLE for kind, _, _ in flaws)


def _check_readable(found: Sequence[Problem], seen: int, total: int) -> None:
    """Stops where too many images are unreadable for the data set to be the one that was meant."""
    unreadable = [problem for problem in found if problem.kind == UNREADABLE]
    if len(unreadable) > MOST_UNREADABLE * total:
        raise InputError(
            f"{len(unreadable):,} of the first {seen:,} images are unreadable, accepted: up to {MOST_UNREADABLE:.0%} "
            f"of all {total:,}; the first: {unreadable[0].where} ({unreadable[0].detail})"
        )


def _load_batches(images: Mapping[str, Path], start: int, size: int) -> Iterator[list[tuple[str, Loaded]]]:
    """Yields keys and what was loaded of them, as many as are encoded in one step."""
    step = max(1, min(64, _PIXELS_PER_STEP[best_device().type] // size**2))
    cores = os.cpu_count() or 1
    keys = list(images)[start:]
    loaded = zip(keys, _load_ahead((images[key] for key in keys), size, max(step, cores)), strict=True)
    while batch := list(islice(loaded, step)):
        yield batch


def _load_ahead(paths: Iterable[Path], size: int, most: int) -> Iterator[Loaded]:
    """Yields what each path holds; while one is used, up to `most` of those behind it are decoded in threads."""
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


class _Speed(ProgressColumn):
    """Images per second: lately, and in the end over the whole run."""

    def render(self, task: Task) -> Text:
        speed = task.speed
        if task.finished_time:
            speed = (task.completed - task.fields.get("done_before", 0)) / task.finished_time
        return Text("" if speed is None else f"{speed:,.{0 if speed >= 10 else 1}f} images/s")


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
