"""Prepares a data set for training: every image encoded once, every question as numbers, in one folder."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from san_core.command_line import print_message
from san_core.data.encoding import build_vocabularies, coverage, write_splits
from san_core.data.feature_extraction import PROGRESS, write_images
from san_core.data.fingerprint import describe_dataset, first_copies, hash_images, short_hash
from san_core.data.prepared import FORMAT, IMAGE_FILES, MANIFEST, PROBLEMS, WORD_VECTORS, PreparedData
from san_core.data.problems import Problems
from san_core.data.raw_dataset import Location, RawDataset
from san_core.data.readers import read_dataset
from san_core.data.splitting import report_shared_images, split, split_off_test
from san_core.data.word_vectors import read_word_vectors
from san_core.errors import InputError
from san_core.files import make_folder, name_folder, sha256
from san_core.hardware import best_device, fastest_precision
from san_core.models.image_encoder import architecture_of, layer_of, regions

_INPUTS = "inputs.json"


@dataclass(frozen=True)
class Options:
    """How to prepare a data set.

    Attributes:
        encoder: name of the image encoder.
        layer: the encoder's layer whose output is the regions; None takes its last.
        grid: number of regions along an edge, 1 for the whole image; None for the size of the layer's output.
        image_size: edge in pixels that every image is resized to; None takes the data set's default.
        fine_tune: keep the images as pixels, so that training trains the encoder as well. Always so for an
            encoder without pretrained weights.
        top_answers: size of the answer vocabulary; None takes the data set's default.
        word_vectors: text file of pretrained word vectors (word2vec or GloVe format); None for none.
        test_share: share of the images whose questions become the test split, in [0, 1), for data that
            come without one.
        seed: seed of the random choice of validation and test images.
        strict: make every problem of the data an error.
    """

    encoder: str = "efficientnet-lite0"
    layer: str | None = None
    grid: int | None = None
    image_size: int | None = None
    fine_tune: bool = False
    top_answers: int | None = None
    word_vectors: Path | None = None
    test_share: float = 0.0
    seed: int = 0
    strict: bool = False


def prepare(name: str, out: Path, options: Options = Options(), location: Location | None = None) -> PreparedData:
    """Prepares the data set called `name` in the folder `out`, or opens it if it is prepared there already.

    The folder gets its name only when it is complete; an interrupted preparation continues where it stopped. The
    problems of the data are listed in `problems.txt` there.

    Raises:
        InputError: if the data set or encoder is unknown, a file is missing, too many images are unreadable, or the
            folder cannot be written or holds data that were prepared differently.
    """
    problems = Problems(strict=options.strict, otherwise=f"{PROBLEMS} of the prepared folder lists all problems")
    if out.name in {"", ".."}:
        raise InputError(f"prepared data cannot go to {out}; accepted: a new folder, such as data/{name}")
    dataset = read_dataset(name, location or Location(), problems)
    if options.test_share and dataset.test:
        raise InputError(f"test share must be 0 for data with a test split, but got {options.test_share:g}")
    described_options = _describe_options(dataset, options)
    image_hashes = hash_images(dataset.images)
    first_copy = first_copies(image_hashes)
    dataset = split_off_test(dataset, share=options.test_share, seed=options.seed, first_copy=first_copy)
    inputs = {**describe_dataset(dataset, image_hashes), **described_options}
    try:
        with _lock(out):
            if out.exists():
                return _reuse(out, inputs, strict=options.strict)
            with _partial_folder(out, inputs, problems) as partial:
                _write(dataset, inputs, options, partial, problems, first_copy)
                for note in (_INPUTS, PROGRESS):
                    (partial / note).unlink()
                name_folder(partial, out)
    except OSError as error:
        raise InputError(f"cannot write prepared data to {out}: {error}") from error
    return PreparedData.open(out)


def _reuse(out: Path, inputs: Mapping[str, Any], *, strict: bool) -> PreparedData:
    """Opens data prepared earlier, if they were prepared from the same inputs."""
    data = PreparedData.open(out)
    if differing := _differences(data.manifest["inputs"], inputs):
        raise InputError(f"{out} was prepared from something else: {differing}; delete it or choose another folder")
    if strict and data.manifest["problems"]:
        raise InputError(
            f"{out} was prepared from data with problems; {out / PROBLEMS} lists what --strict does not accept"
        )
    return data


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{k} {found.get(k)!r} instead of {value!r}" for k, value in wanted.items() if found.get(k) != value
    )


def _describe_options(dataset: RawDataset, options: Options) -> dict[str, Any]:
    """The options as plain values, with the defaults filled in.

    Raises:
        InputError: if the options do not fit the encoder or the images.
    """
    architecture = architecture_of(options.encoder)
    size = dataset.image_size if options.image_size is None else options.image_size
    grid = regions(options.encoder, options.layer, options.grid, size)
    word_vectors = options.word_vectors and sha256(options.word_vectors)
    return {
        "encoder": options.encoder,
        "layer": layer_of(options.encoder, options.layer).name,
        "grid": grid,
        "weights": architecture.weights,
        "image_size": size,
        "fine_tune": options.fine_tune or architecture.weights is None,
        "top_answers": options.top_answers or dataset.top_answers,
        "word_vectors": word_vectors,
        "test_share": options.test_share,
        "seed": options.seed,
    }


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Waits until no other process prepares `out`, and keeps others waiting."""
    make_folder(out.parent, exist_ok=True)
    lock = out.with_name(f".{out.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            # Once the file is deleted, a process that waits for it and one that creates it again can run at the same
            # time. That does no harm when `out` exists, since both only read it then. Until then the file stays.
            if out.exists():
                lock.unlink(missing_ok=True)


@contextmanager
def _partial_folder(out: Path, inputs: Mapping[str, Any], problems: Problems) -> Iterator[Path]:
    """The hidden folder that becomes `out`. What an interrupted run wrote there from the same inputs is kept.

    After an InputError the folder is deleted, and the problems found so far are printed, since they may explain it.
    """
    partial = out.with_name(f".{out.name}.partial")
    note = partial / _INPUTS
    wanted = json.dumps(inputs)
    if not (note.is_file() and note.read_text(encoding="utf-8") == wanted):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        note.write_text(wanted, encoding="utf-8")
    try:
        yield partial
    except InputError:
        shutil.rmtree(partial, ignore_errors=True)
        for line in problems.summary():
            print_message(line)
        raise


def _write(
    dataset: RawDataset,
    inputs: dict[str, Any],
    options: Options,
    folder: Path,
    problems: Problems,
    first_copy: Mapping[str, str],
) -> None:
    splits = split(dataset, seed=options.seed, first_copy=first_copy)
    report_shared_images(dataset, first_copy, problems)
    # Built from train and validation, so that retraining on both needs no other vocabularies.
    vocabularies = build_vocabularies(dataset.train, inputs["top_answers"])
    keys = sorted({question.image for questions in splits.values() for question in questions})
    training_defaults = dict(dataset.training_defaults)
    if options.word_vectors:  # before the images, so that a bad file is reported before the long work
        vectors = read_word_vectors(options.word_vectors, vocabularies.words.words, problems)
        np.save(folder / WORD_VECTORS, vectors)
        training_defaults["embedding_init"] = "pretrained"
    write_images({key: dataset.images[key] for key in keys}, inputs, folder, problems)
    write_splits(splits, vocabularies, keys, folder)
    files = {key: str(dataset.images[key].resolve()) for key in keys}
    (folder / IMAGE_FILES).write_text(json.dumps(files, ensure_ascii=False, indent=0), encoding="utf-8")
    as_shipped = {"train": dataset.train, "test": dataset.test}
    manifest = {
        "format": FORMAT,
        "fingerprint": short_hash(inputs),
        "inputs": inputs,
        "precision": fastest_precision(best_device()),  # no input: data prepared on any machine are the same data
        "counts": {name: len(questions) for name, questions in splits.items()},
        "images": len(keys),
        "metrics": list(dataset.metrics),
        "as_shipped": coverage({name: part for name, part in as_shipped.items() if part}, vocabularies),
        "coverage": coverage(splits, vocabularies),
        "problems": problems.summary(),
        "training_defaults": training_defaults,
        "answers": vocabularies.answers,
        "words": vocabularies.words.words,
    }
    (folder / PROBLEMS).write_text("".join(f"{problem}\n" for problem in problems.found), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
