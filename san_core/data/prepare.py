"""Turns a data set into its prepared form: every image encoded once, every question as numbers."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
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

from san_core.data import easy_vqa
from san_core.data.images import load_pixels
from san_core.data.prepared import FEATURES, FORMAT, MANIFEST, PIXELS, QUESTIONS, PreparedData, Split
from san_core.data.source import Question, Source, split_by_image
from san_core.errors import InputError
from san_core.hardware import autocast, best_device, fastest_precision
from san_core.models.image_encoder import ImageEncoder, architecture_of, build_image_encoder
from san_core.text import PADDING, Vocabulary, most_common, tokenize

READERS = {"easy-vqa": easy_vqa.read}

_IMAGES_PER_STEP = 64


@dataclass(frozen=True)
class Options:
    """How to prepare a data set.

    Attributes:
        encoder: name of the image encoder.
        image_size: edge in pixels every image is brought to; None takes what suits the data set.
        fine_tune: keep the images as pixels, so that training trains the encoder as well.
        seed: of the cut of validation out of train.
    """

    encoder: str = "efficientnet-lite0"
    image_size: int | None = None
    fine_tune: bool = False
    seed: int = 0


def prepare(name: str, out: Path, options: Options = Options()) -> PreparedData:
    """Prepares the data set called `name` in the folder `out`, or finds it prepared there.

    The folder appears under its name only when it is whole.

    Raises:
        InputError: for an unknown data set or encoder, an image that cannot be read, a folder that
            cannot be written, or one that holds data prepared differently.
    """
    source = _read(name)
    inputs = _describe_inputs(source, options)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(out.parent / f".{out.name}.lock"):
            if out.exists():
                return _reuse(out, inputs)
            partial = out.with_name(f".{out.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                _write(source, inputs, partial)
                partial.rename(out)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write prepared data to {out}: {error}") from error
    return PreparedData.open(out)


def _read(name: str) -> Source:
    if name not in READERS:
        raise InputError(f"unknown data set {name!r}; accepted: {', '.join(READERS)}")
    return READERS[name]()


def _describe_inputs(source: Source, options: Options) -> dict[str, Any]:
    """Everything the prepared data follow from; two equal descriptions mean equal data."""
    architecture = architecture_of(options.encoder)
    size = source.image_size if options.image_size is None else options.image_size
    if size < architecture.stride:
        raise InputError(f"image size must be >= {architecture.stride} pixels for {options.encoder}, but got {size}")
    questions = [(q.text, q.answer, q.image) for part in (source.train, source.test) for q in part]
    return {
        "format": FORMAT,
        "data": source.name,
        "questions": _digest(questions),
        "images": _digest(sorted((key, _file_digest(path)) for key, path in source.images.items())),
        "encoder": options.encoder,
        "weights": architecture.weights,
        "precision": fastest_precision(best_device()),
        "image_size": size,
        "fine_tune": options.fine_tune,
        "seed": options.seed,
    }


def _file_digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"image {path} cannot be read: {error}") from error


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _reuse(out: Path, inputs: Mapping[str, Any]) -> PreparedData:
    data = PreparedData.open(out)
    found = data.manifest["inputs"]
    differing = [
        f"{key} {found.get(key)!r} instead of {value!r}" for key, value in inputs.items() if found.get(key) != value
    ]
    if differing:
        raise InputError(
            f"{out} was prepared from something else: {'; '.join(differing)}; delete it or choose another folder"
        )
    return data


def _write(source: Source, inputs: dict[str, Any], folder: Path) -> None:
    train, validation = split_by_image(source.train, seed=inputs["seed"])
    splits = {"train": train, "validation": validation, "test": source.test}
    words = Vocabulary(most_common(word for question in train for word in tokenize(question.text)))
    answers = most_common(question.answer for question in train)
    image_keys = sorted({question.image for part in splits.values() for question in part})
    texts = sorted({question.text for part in splits.values() for question in part})

    np.save(folder / QUESTIONS, _pad([words.encode(text) for text in texts]))
    for name, questions in splits.items():
        _number(questions, image_keys, texts, answers).save(folder / f"{name}.npy")
    _write_images([source.images[key] for key in image_keys], inputs, folder)
    manifest = {
        "format": FORMAT,
        "fingerprint": _digest(inputs),
        "inputs": inputs,
        "counts": {name: len(questions) for name, questions in splits.items()},
        "training_defaults": dict(source.training_defaults),
        "answers": answers,
        "words": words.words,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _pad(rows: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """Word numbers as one matrix [U, L], padded behind."""
    padded = np.full((len(rows), max(map(len, rows))), PADDING, dtype=np.int32)
    for row, numbers in zip(padded, rows, strict=True):
        row[: len(numbers)] = numbers
    return padded


def _number(questions: Iterable[Question], images: list[str], texts: list[str], answers: list[str]) -> Split:
    """The questions with every name replaced by its number."""
    image, text, answer = ({name: i for i, name in enumerate(names)} for names in (images, texts, answers))
    columns = [(image[q.image], text[q.text], answer.get(q.answer, -1)) for q in questions]
    return Split(*np.array(columns, dtype=np.int32).T)


def _write_images(paths: Sequence[Path], inputs: Mapping[str, Any], folder: Path) -> None:
    """Writes every image's region features [N, R, C], or its pixels [N, S, S, 3] for fine-tuning."""
    size = inputs["image_size"]
    encoder = build_image_encoder(inputs["encoder"])  # for fine-tuning too: missing weights are told of here
    if inputs["fine_tune"]:
        pixels = np.lib.format.open_memmap(folder / PIXELS, "w+", np.uint8, (len(paths), size, size, 3))
        for start, batch in _load_batches(paths, size, "reading images"):
            pixels[start : start + len(batch)] = batch
        pixels.flush()
        return
    encoder.to(best_device())
    regions = (size // architecture_of(inputs["encoder"]).stride) ** 2
    shape = (len(paths), regions, architecture_of(inputs["encoder"]).channels)
    # NumPy has no bfloat16: the file holds its bits as 16-bit integers.
    features = np.lib.format.open_memmap(folder / FEATURES, "w+", np.int16, shape)
    for start, batch in _load_batches(paths, size, f"encoding images with {inputs['encoder']}"):
        features[start : start + len(batch)] = encode(encoder, batch).view(torch.int16).cpu().numpy()
    features.flush()


@torch.inference_mode()
def encode(encoder: ImageEncoder, pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Pixels [B, S, S, 3] to region features [B, R, C] in bfloat16, as prepared data hold them."""
    device = encoder.mean.device
    with autocast(device, "auto"):
        features: torch.Tensor = encoder(torch.from_numpy(pixels).to(device))
    return features.bfloat16().contiguous()


def _load_batches(paths: Sequence[Path], size: int, task: str) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yields (first row, pixels [B, S, S, 3]); the next batch is decoded while this one is used."""
    starts = range(0, len(paths), _IMAGES_PER_STEP)
    with _progress() as progress, ThreadPoolExecutor() as pool:
        bar = progress.add_task(task, total=len(paths))
        ahead: list[Future[NDArray[np.uint8]]] = []
        for start in starts:
            batch = ahead or _submit(pool, paths, start, size)
            ahead = _submit(pool, paths, start + _IMAGES_PER_STEP, size)
            yield start, np.stack([image.result() for image in batch])
            progress.advance(bar, len(batch))


def _submit(pool: ThreadPoolExecutor, paths: Sequence[Path], start: int, size: int) -> list[Future[NDArray[np.uint8]]]:
    return [pool.submit(load_pixels, path, size) for path in paths[start : start + _IMAGES_PER_STEP]]


class _Speed(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} images/s")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
    )
