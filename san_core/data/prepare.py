"""Turns a data set into its prepared form: every image encoded once, every question as numbers."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from san_core.command_line import say
from san_core.data import coco_qa, daquar, easy_vqa, vqa
from san_core.data.image_table import PROGRESS, progress, write_images
from san_core.data.numbering import build_vocabularies, coverage, write_splits
from san_core.data.prepared import FORMAT, IMAGE_FILES, MANIFEST, PROBLEMS, SPLITS, WORD_VECTORS, PreparedData
from san_core.data.problems import Problems
from san_core.data.source import NOWHERE, Location, Question, Source, split_by_image
from san_core.data.word_vectors import read_word_vectors
from san_core.errors import InputError
from san_core.files import digest, sync
from san_core.hardware import best_device, fastest_precision
from san_core.models.image_encoder import architecture_of, layer_of, regions

_INPUTS = "inputs.json"
_UNREADABLE = "unreadable"  # in place of a digest

Reader = Callable[[Location, Problems], Source]


@dataclass(frozen=True)
class Options:
    """How to prepare a data set.

    Attributes:
        encoder: name of the image encoder.
        layer: its layer to take regions from; None takes its last.
        grid: regions along an edge, 1 pools the whole image; None takes what the layer gives.
        image_size: edge in pixels every image is brought to; None takes what suits the data set.
        fine_tune: keep the images as pixels, so that training trains the encoder as well. Always so for an
            encoder without pretrained weights.
        top_answers: size of the answer vocabulary; None takes what suits the data set.
        word_vectors: text file of pretrained word vectors (word2vec or GloVe format); None for none.
        test_share: share of the images whose questions become the test split, in [0, 1), for data that
            come without one.
        seed: of the cuts of validation and test.
        strict: make every flaw of the data an error.
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


def prepare(name: str, out: Path, options: Options = Options(), location: Location = NOWHERE) -> PreparedData:
    """Prepares the data set called `name` in the folder `out`, or finds it prepared there.

    The folder appears under its name only when it is whole; an interrupted preparation goes on where it
    stopped. The data's flaws are listed in `problems.txt` there.

    Raises:
        InputError: for an unknown data set or encoder, a missing file, too many unreadable images, a
            folder that cannot be written, or one that holds data prepared differently.
    """
    if name not in READERS:
        raise InputError(f"unknown data set {name!r}; accepted: {', '.join(READERS)}")
    if out.name in {"", ".."}:
        raise InputError(f"prepared data cannot go to {out}; accepted: a new folder, such as data/{name}")
    problems = Problems(strict=options.strict, otherwise=f"{PROBLEMS} of the prepared folder lists all flaws")
    source = READERS[name](location, problems)
    if options.test_share and source.test:
        raise InputError(f"test share must be 0 for data with a test split, but got {options.test_share:g}")
    described = _describe_options(source, options)
    digests = _image_digests(source.images)
    same = _same_pictures(digests)
    source = _cut_test(source, options, same)
    inputs = {**_describe_source(source, digests), **described}
    try:
        with _alone(out):
            if out.exists():
                return _reuse(out, inputs, strict=options.strict)
            with _partial_folder(out, inputs, problems) as partial:
                _write(source, inputs, options, partial, problems, same)
                for note in (_INPUTS, PROGRESS):
                    (partial / note).unlink()
                for file in partial.iterdir():
                    sync(file)
                partial.rename(out)
    except OSError as error:
        raise InputError(f"cannot write prepared data to {out}: {error}") from error
    return PreparedData.open(out)


def _root(location: Location) -> Path:
    if location.root is None:
        raise InputError("this data set needs --root FOLDER, the folder that holds its files")
    return location.root


READERS: dict[str, Reader] = {
    "easy-vqa": lambda _, __: easy_vqa.read(),
    **{
        f"daquar-{size}": lambda location, problems, size=size: daquar.read(  # type: ignore[misc]
            size, _root(location), problems, single_answers=location.single_answers
        )
        for size in daquar.FILES
    },
    "coco-qa": lambda location, problems: coco_qa.read(_root(location), problems),
    "vqa-v1": lambda location, problems: vqa.read("v1", _root(location), problems),
    "vqa-v2": lambda location, problems: vqa.read("v2", _root(location), problems),
    "vqa": lambda location, problems: vqa.read_own("vqa", location.train, location.test, problems),
}
"""The data sets by name."""


def _cut_test(source: Source, options: Options, same: Mapping[str, str]) -> Source:
    """Cuts a test split out of the training questions where one is asked for."""
    if not options.test_share:
        return source
    train, test = split_by_image(source.train, share=options.test_share, seed=options.seed + 1, same=same)
    return replace(source, train=train, test=test)


def _describe_options(source: Source, options: Options) -> dict[str, Any]:
    """How the data are prepared; with `_describe_source` all that they follow from.

    Raises:
        InputError: for options that cannot be met, before much work is done.
    """
    architecture = architecture_of(options.encoder)
    size = source.image_size if options.image_size is None else options.image_size
    edge = regions(options.encoder, options.layer, options.grid, size)
    word_vectors = options.word_vectors and digest(options.word_vectors)
    return {
        "encoder": options.encoder,
        "layer": layer_of(options.encoder, options.layer).name,
        "grid": edge,
        "weights": architecture.weights,
        "precision": fastest_precision(best_device()),
        "image_size": size,
        "fine_tune": options.fine_tune or architecture.weights is None,
        "top_answers": options.top_answers or source.top_answers,
        "word_vectors": word_vectors,
        "test_share": options.test_share,
        "seed": options.seed,
    }


def _describe_source(source: Source, digests: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What is prepared."""
    questions = [
        [q.text, q.answer, q.image, q.id, q.answers, q.answer_type, q.question_type]
        for part in (source.train, source.test, source.unanswered)
        for q in part
    ]
    return {
        "format": FORMAT,
        "data": source.name,
        "questions": _digest(questions),
        "images": _digest(digests),
    }


def _image_digests(images: Mapping[str, Path]) -> list[tuple[str, str]]:
    """Every image's key and hash of its content."""
    keys = sorted(images)
    with progress() as bars, ThreadPoolExecutor() as pool:
        digests = bars.track(pool.map(_file_digest, (images[k] for k in keys)), len(keys), description="checking")
        return list(zip(keys, digests, strict=True))


def _file_digest(path: Path) -> str:
    try:
        return digest(path)
    except InputError:
        return _UNREADABLE


def _same_pictures(digests: Sequence[tuple[str, str]]) -> dict[str, str]:
    """For each image's key the first key of an image with the same content; unreadable ones are all different."""
    first: dict[str, str] = {}
    return {key: key if found == _UNREADABLE else first.setdefault(found, key) for key, found in digests}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _reuse(out: Path, inputs: Mapping[str, Any], *, strict: bool) -> PreparedData:
    """The data prepared earlier, if it was from the same inputs."""
    data = PreparedData.open(out)
    if differing := _differences(data.manifest["inputs"], inputs):
        raise InputError(f"{out} was prepared from something else: {differing}; delete it or choose another folder")
    if strict and data.manifest["problems"]:
        raise InputError(f"{out} was prepared from flawed data; {out / PROBLEMS} lists what --strict does not accept")
    return data


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{k} {found.get(k)!r} instead of {value!r}" for k, value in wanted.items() if found.get(k) != value
    )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Waits until no other process prepares `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(f".{out.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            # Another process may wait for this file while a third one makes a new one, and both go on at a time.
            # That does no harm once `out` is there, for then they only read it. Until then the file stays.
            if out.exists():
                lock.unlink(missing_ok=True)


@contextmanager
def _partial_folder(out: Path, inputs: Mapping[str, Any], problems: Problems) -> Iterator[Path]:
    """The hidden folder in which `out` grows. What an interrupted run left of the same data is kept.

    Bad input leaves nothing behind; the flaws found till then, which may explain it, are told.
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
            say(line)
        raise


def _write(
    source: Source,
    inputs: dict[str, Any],
    options: Options,
    folder: Path,
    problems: Problems,
    same: Mapping[str, str],
) -> None:
    splits = _cut(source, options.seed, same)
    _tell_of_shared_pictures(source, same, problems)
    # From all that is to be learned: retraining on train and validation asks for no other vocabularies.
    vocabularies = build_vocabularies(source.train, inputs["top_answers"])
    keys = sorted({question.image for questions in splits.values() for question in questions})
    training_defaults = dict(source.training_defaults)
    if options.word_vectors:  # before the images: a bad file should not cost their encoding
        vectors = read_word_vectors(options.word_vectors, vocabularies.words.words, problems)
        np.save(folder / WORD_VECTORS, vectors)
        training_defaults["embedding_init"] = "pretrained"
    write_images({key: source.images[key] for key in keys}, inputs, folder, problems)
    write_splits(splits, vocabularies, keys, folder)
    files = {key: str(source.images[key].resolve()) for key in keys}
    (folder / IMAGE_FILES).write_text(json.dumps(files, ensure_ascii=False, indent=0), encoding="utf-8")
    as_shipped = {"train": source.train, "test": source.test}
    manifest = {
        "format": FORMAT,
        "fingerprint": _digest(inputs),
        "inputs": inputs,
        "counts": {name: len(questions) for name, questions in splits.items()},
        "images": len(keys),
        "metrics": list(source.metrics),
        "as_shipped": coverage({n: part for n, part in as_shipped.items() if part}, vocabularies),
        "coverage": coverage(splits, vocabularies),
        "problems": problems.summary(),
        "training_defaults": training_defaults,
        "answers": vocabularies.answers,
        "words": vocabularies.words.words,
    }
    (folder / PROBLEMS).write_text("".join(f"{problem}\n" for problem in problems.found), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _tell_of_shared_pictures(source: Source, same: Mapping[str, str], problems: Problems) -> None:
    """Test scores say less about new pictures where the network has learned from the same ones."""
    learned = {same[question.image] for question in source.train}
    for image in sorted({question.image for question in source.test}):
        if same[image] in learned:
            problems.add("picture of test questions is also one of the training questions", image)


def _cut(source: Source, seed: int, same: Mapping[str, str]) -> dict[str, Sequence[Question]]:
    """The splits there are, by name."""
    if len({question.image for question in source.train}) <= 1:
        raise InputError(f"{source.name} has training questions about fewer than two images; none would validate")
    train, validation = split_by_image(source.train, seed=seed, same=same)
    every = (train, validation, source.test, source.unanswered)
    return {name: questions for name, questions in zip(SPLITS, every, strict=True) if questions}
