"""Writes the region features of every image of a data set, or its pixels; continues where it was interrupted."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from san_core.data.encoded_rows import EncodedRows, Remarks
from san_core.data.images.grey_values import Range
from san_core.data.images.reading import brightness_remark, open_to_resize, to_pixels
from san_core.data.problems import ALLOWED_LOSS, Problems
from san_core.data.progress_bar import progress_bar
from san_core.data.stored_encoder import store_encoder
from san_core.errors import InputError
from san_core.hardware import autocast, best_device
from san_core.machine_limits import usable_cpus
from san_core.models.batch_norm_fusion import fuse_batch_norm
from san_core.models.image_encoder import ImageEncoder, build_image_encoder

ALWAYS_ALLOWED = 3
"""Number of damaged images that are left out of a data set of any size."""

DAMAGED = "image cannot be read, its questions are left out"

_ENCODER_INPUTS = ("encoder", "layer", "grid", "weights", "image_size", "fine_tune", "grey_range")
_NAMED_IN_ERROR = 3

# A CPU encodes large images three times as fast one by one: activations stay below 32 MB, above which the C library
# requests new, zeroed memory from the kernel each time. A GPU is faster with many at once.
_PIXELS_PER_STEP = {"cpu": 448 * 448, "cuda": 64 * 224 * 224}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Images:
    """The images of a data set.

    Attributes:
        files: file of each image key, in the order of the rows.
        hashes: hash of the content of each.
        grey_range: values that become black and white in grey images of more than 8 bits; None without such.
    """

    files: Mapping[str, Path]
    hashes: Mapping[str, str]
    grey_range: Range | None = None


@dataclass(frozen=True)
class Loaded:
    """An image of the data set as pixels.

    Attributes:
        key: key of the image.
        pixels: [S, S, 3]; None if the image cannot be read.
        remarks: kind and detail of each problem of it.
    """

    key: str
    pixels: Pixels | None
    remarks: Remarks = field(default_factory=list)


@dataclass(frozen=True)
class Written:
    """The rows of a data set's images.

    Attributes:
        keys: the images that have a row, in the order of the rows.
        rows: the rows.
    """

    keys: Sequence[str]
    rows: EncodedRows


def write_images(
    images: Images,
    inputs: Mapping[str, Any],
    folder: Path,
    problems: Problems,
    allowed_loss: float | None = None,
    weights: Path | None = None,
) -> Written:
    """Writes one row for each image: region features [R, C], or pixels [S, S, 3] for fine-tuning.

    A damaged image gets no row. The rows of an earlier run in the same folder are used again for images of the same
    content. The caller gives the file its name with `Written.rows.move_to`. The weights of the encoder are stored
    beside it where no package has them.

    Args:
        images: the images.
        inputs: encoder, layer, grid, image_size and fine_tune, as in the manifest.
        folder: folder to write to.
        problems: problems found so far; those of the images are added.
        allowed_loss: largest share of the images that may be damaged, in [0, 1); three always may. None allows 0.01.
        weights: file of the encoder's weights; None for the pretrained ones.

    Raises:
        InputError: if more are damaged, or the encoder's weights are missing.
    """
    size = inputs["image_size"]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    convert: Callable[[Pixels], NDArray[Any]]
    if inputs["fine_tune"]:
        if inputs["weights"]:  # missing ones are reported now, not when training starts
            store_encoder(_build_encoder(inputs, weights), inputs["encoder"], folder)
        shape, dtype, convert = (size, size, 3), np.dtype(np.uint8), lambda pixels: pixels
    else:
        encoder = _build_encoder(inputs, weights)
        store_encoder(encoder, inputs["encoder"], folder)
        encoder = fuse_batch_norm(encoder).to(best_device())
        shape = (inputs["grid"] ** 2, encoder.channels)
        # NumPy has no bfloat16: the file contains its bits as 16-bit integers.
        dtype, convert = np.dtype(np.int16), lambda pixels: encode(encoder, pixels).view(torch.int16).cpu().numpy()
    rows = EncodedRows(folder, {name: inputs.get(name) for name in _ENCODER_INPUTS}, shape, dtype)
    most = max(ALWAYS_ALLOWED, int((ALLOWED_LOSS if allowed_loss is None else allowed_loss) * len(images.files)))
    with closing(rows):
        damaged = _fill(rows, images, size, convert, problems, most)
        if len(damaged) > most:
            raise InputError(_describe_damage(damaged, len(images.files), most, len(rows.hashes)))
        keys = [key for key in images.files if key not in damaged]
        rows.sort([images.hashes[key] for key in keys])
    return Written(keys, rows)


def _build_encoder(inputs: Mapping[str, Any], weights: Path | None) -> ImageEncoder:
    return build_image_encoder(
        inputs["encoder"],
        layer=inputs["layer"],
        grid=inputs["grid"],
        image_size=inputs["image_size"],
        weights=weights,
    )


@torch.inference_mode()
def encode(encoder: ImageEncoder, pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Encodes pixels [B, S, S, 3] as region features [B, R, C] in bfloat16, the type in prepared data."""
    device = encoder.mean.device
    with autocast(device, "auto"):
        features: torch.Tensor = encoder(torch.from_numpy(pixels).to(device))
    return features.bfloat16().contiguous()


def _fill(
    rows: EncodedRows,
    images: Images,
    size: int,
    convert: Callable[[Pixels], NDArray[Any]],
    problems: Problems,
    most: int,
) -> dict[str, str]:
    """Loads, converts and writes the images that have no row yet; returns the damaged ones with the reasons.

    Once more than `most` images are damaged, the others are only loaded, so that all damaged ones are known.
    """
    known = len(problems.found)
    before = [key for key in images.files if images.hashes[key] in rows.remarks]
    for key in before:
        _add(problems, Loaded(key, None, rows.remarks[images.hashes[key]]))
    missing = {key: path for key, path in images.files.items() if images.hashes[key] not in rows.remarks}
    damaged: dict[str, str] = {}
    with progress_bar("images") as bars:
        bar = bars.add_task("images", total=len(images.files), completed=len(before), done_before=len(before))
        for batch in _load_batches(missing, size, images.grey_range):
            damaged |= {loaded.key: loaded.remarks[0][1] for loaded in batch if loaded.pixels is None}
            for loaded in batch:
                _add(problems, loaded)
            pixels = [loaded.pixels for loaded in batch if loaded.pixels is not None]
            if pixels and len(damaged) <= most:
                whole = [loaded for loaded in batch if loaded.pixels is not None]
                hashes = [images.hashes[loaded.key] for loaded in whole]
                rows.append(convert(np.stack(pixels)), hashes, [loaded.remarks for loaded in whole])
            bars.advance(bar, len(batch))
    order = {key: number for number, key in enumerate(images.files)}  # the same after an interruption
    problems.found[known:] = sorted(problems.found[known:], key=lambda problem: order.get(problem.where, 0))
    return damaged


def _add(problems: Problems, loaded: Loaded) -> None:
    for kind, detail in loaded.remarks:
        (problems.lose if kind == DAMAGED else problems.add)(kind, loaded.key, detail)


def _describe_damage(damaged: Mapping[str, str], total: int, most: int, encoded: int) -> str:
    first = "; ".join(f"{key} ({reason})" for key, reason in islice(damaged.items(), _NAMED_IN_ERROR))
    more = "; ..." if len(damaged) > _NAMED_IN_ERROR else ""
    kept = f"; the {encoded:,} encoded so far are kept for the next run of the same command" if encoded else ""
    return (
        f"{len(damaged):,} of {total:,} images cannot be read, accepted: up to {most:,}, or what --allow-loss says: "
        f"{first}{more}{kept}"
    )


def _load_batches(images: Mapping[str, Path], size: int, grey_range: Range | None) -> Iterator[list[Loaded]]:
    """Yields loaded images, as many as are encoded in one step."""
    step = max(1, min(64, _PIXELS_PER_STEP[best_device().type] // size**2))
    loaded = _load_ahead(images.items(), size, grey_range, max(step, usable_cpus()))
    while batch := list(islice(loaded, step)):
        yield batch


def _load_ahead(images: Iterable[tuple[str, Path]], size: int, grey_range: Range | None, most: int) -> Iterator[Loaded]:
    """Yields the images in order, while threads decode up to `most` of the next ones."""
    with ThreadPoolExecutor(usable_cpus() + 4) as pool:  # some of them wait for the disk
        futures = (pool.submit(_load, key, path, size, grey_range) for key, path in images)
        ahead = deque(islice(futures, most))
        try:
            while ahead:
                loaded = ahead.popleft().result()
                ahead.extend(islice(futures, 1))
                yield loaded
        finally:
            for future in ahead:
                future.cancel()


def _load(key: str, path: Path, size: int, grey_range: Range | None) -> Loaded:
    try:
        picture = open_to_resize(path, size, grey_range)
        pixels = to_pixels(picture, size)
    except InputError as error:
        return Loaded(key, None, [(DAMAGED, str(error))])
    remarks = [*picture.remarks, *filter(None, [brightness_remark(pixels)])]
    return Loaded(key, pixels, [(remark, "") for remark in remarks])
