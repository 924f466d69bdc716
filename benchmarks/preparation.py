"""`python -m benchmarks.preparation`: compares the speed of encoding images with a plain loop.

The plain loop decodes with Pillow and encodes in float32, one after the other, singly or in batches, whichever is
faster at the size: with one thread, or with torch's threads on all cores. This project uses all cores. All read the
same files and run alternately, each in a process of its own that builds its encoder once.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import easy_vqa
import numpy as np
import torch
from PIL import Image
from rich.table import Table
from torch import Tensor, nn

from benchmarks.output import add_output_options, output_results
from benchmarks.turns import Task, median_ratio, take_turns, timed_processes
from san_core.command_line import path, run_command
from san_core.data import feature_extraction
from san_core.data.feature_extraction import Images, write_images
from san_core.data.prepared import FEATURES
from san_core.data.problems import Problems
from san_core.errors import InputError
from san_core.models.architectures import ARCHITECTURES
from san_core.models.image_encoder import build_image_encoder, regions

ENCODER = "efficientnet-lite0"
BATCHES = (1, 32)
"""Batch sizes of the plain loop."""

SUFFIXES = {".jpg", ".jpeg", ".png"}


@cache
def _plain_layers() -> nn.Module:
    return build_image_encoder(ENCODER).layers.to(memory_format=torch.contiguous_format)


@torch.inference_mode()
def plain(paths: Sequence[Path], size: int, batch: int) -> Tensor:
    """Features [N, R, C] in float32: decode, stack, normalise, encode."""
    known, layers = ARCHITECTURES[ENCODER], _plain_layers()
    mean, std = torch.tensor(known.mean).view(3, 1, 1), torch.tensor(known.std).view(3, 1, 1)
    found = []
    for start in range(0, len(paths), batch):
        pictures = [Image.open(path).convert("RGB") for path in paths[start : start + batch]]
        arrays = [np.array(picture.resize((size, size), Image.Resampling.BICUBIC)) for picture in pictures]
        pixels = torch.stack([torch.from_numpy(array).permute(2, 0, 1) for array in arrays])
        found.append(layers((pixels / 255 - mean) / std).flatten(2).transpose(1, 2))
    return torch.cat(found)


def fast(paths: Sequence[Path], size: int) -> Tensor:
    """Features [N, R, C] as `san_core.prepare` writes them."""
    layer = ARCHITECTURES[ENCODER].layers[-1].name
    grid = regions(ENCODER, layer, None, size)
    inputs = {"encoder": ENCODER, "layer": layer, "grid": grid, "image_size": size, "fine_tune": False}
    files = {str(number): path for number, path in enumerate(paths)}
    images = Images(files, hashes={key: key for key in files})
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        write_images(images, inputs, Path(folder), Problems()).rows.move_to(Path(folder) / FEATURES)
        return torch.from_numpy(np.load(Path(folder) / FEATURES)).view(torch.bfloat16).float()


def _plain_task(paths: Sequence[Path], size: int, batch: int, threads: int) -> Callable[[], object]:
    def run() -> None:
        torch.set_num_threads(threads)
        plain(paths, size, batch)

    return run


def _fast_task(paths: Sequence[Path], size: int) -> Callable[[], object]:
    vars(feature_extraction)["build_image_encoder"] = cache(
        build_image_encoder
    )  # in reality one serves thousands of images
    return partial(fast, paths, size)


def compare(paths: Sequence[Path], size: int, *, threads: int, rounds: int) -> dict[str, Any]:
    """Images per second of all, and the difference of their features."""
    loops: list[Task] = [partial(_plain_task, paths, size, batch, count) for count in (1, threads) for batch in BATCHES]
    with timed_processes([*loops, partial(_fast_task, paths, size)]) as running:
        *slow, ours = take_turns(running, threads=threads, rounds=rounds)
    one, every = (min(pair, key=statistics.median) for pair in (slow[: len(BATCHES)], slow[len(BATCHES) :]))
    return {
        "size": size,
        "images": len(paths),
        "threads": threads,
        "plain, one thread": len(paths) / statistics.median(one),
        "plain, all threads": len(paths) / statistics.median(every),
        "fast": len(paths) / statistics.median(ours),
        "ratio to one thread": median_ratio(one, ours),
        "ratio to all threads": median_ratio(every, ours),
        "difference": difference(plain(paths[:8], size, 1), fast(paths[:8], size)),
    }


def difference(expected: Tensor, found: Tensor) -> float:
    """Norm of the difference, relative to the norm of the expected features."""
    return float((found - expected).norm() / expected.norm())


def pictures(folder: Path | None, count: int) -> list[Path]:
    """The first images of a folder, or of easy-VQA.

    Raises:
        InputError: if the folder has none.
    """
    if folder is None:
        return [Path(path) for path in easy_vqa.get_train_image_paths().values()][:count]
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{folder} has no images; accepted: a folder of {', '.join(sorted(SUFFIXES))} files")
    return found[:count]


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title=f"Encoding with {ENCODER}: images/s, ratios of rounds, distance of the features")
    for row in rows:
        counts = (str(row[name]) for name in ("size", "images", "threads"))
        figures = (f"{value:.1f}" for value in list(row.values())[3:-1])
        table.add_row(*counts, *figures, f"{row['difference']:.2%}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures images per second of preparing a data set, this project's and a plain loop's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preparation", description=main.__doc__)
    add = parser.add_argument
    add("--images", type=path, help="folder of images (default: easy-VQA's, of 64 pixels)")
    add("--sizes", type=int, nargs="+", default=[64, 128, 224, 448], help="in pixels (default: 64 128 224 448)")
    add("--count", type=int, default=24, help="images at 448 pixels; more of smaller ones (default: 24)")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="all: of torch (default: the cores)")
    add("--rounds", type=int, default=3, help="turns of each (default: 3)")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    rows = []
    for size in options.sizes:
        paths = pictures(options.images, min(600, max(1, round(options.count * (448 / size) ** 2))))
        rows.append(compare(paths, size, threads=options.threads, rounds=options.rounds))
    output_results(options, rows, [_table(rows)])
    return 0


if __name__ == "__main__":
    run_command(main)
