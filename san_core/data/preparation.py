"""Prepares a data set for training: every image encoded once, every question as numbers, in one folder."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from san_core.data.answers.merging import merge_answers
from san_core.data.encoding import Vocabularies, build_vocabularies, coverage, tokenizer_notes, write_splits
from san_core.data.feature_extraction import Images, write_images
from san_core.data.fingerprint import Survey, describe_dataset, short_hash, survey_images
from san_core.data.partial_folder import list_problems, lock, new_partial, partial_folder
from san_core.data.prepared import (
    FEATURES,
    FORMAT,
    IMAGE_FILES,
    MANIFEST,
    PIXELS,
    PROBLEMS,
    SPLITS,
    WORD_VECTORS,
    PreparedData,
)
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import Location, RawDataset, leave_out_images
from san_core.data.readers import read_dataset
from san_core.data.splitting import report_shared_images, split, split_off_test
from san_core.data.word_vectors import read_word_vectors
from san_core.errors import InputError
from san_core.files import exists, name_folder, path_from_home, sha256
from san_core.hardware import best_device, fastest_precision, one_thread_if_forked
from san_core.models.architectures import Architecture
from san_core.models.encoders import Encoder, find_encoder
from san_core.models.weights_files import name_weights
from san_core.random_states import keep_random_states

DEFAULT_ENCODER = "efficientnet-lite0"

MISSING = "image is missing, its questions are left out"


@dataclass(frozen=True)
class Options:
    """How to prepare a data set.

    Attributes:
        encoder: name of the image encoder, see `san_core.models.encoders.find_encoder`.
        weights: file of weights for an encoder of torchvision or timm (.safetensors, or written by `torch.save`); None
            takes its pretrained ones, from the library's cache or its download.
        layer: the encoder's layer whose output is the regions; None takes the data set's default for the default
            encoder, and the last of another.
        grid: number of regions along an edge, 1 for the whole image; None takes the data set's default for its default
            layer, and the size of the output of another.
        image_size: edge in pixels that every image is resized to; None takes the size that an encoder of torchvision or
            timm was trained on, otherwise the data set's default.
        fine_tune: keep the images as pixels, so that training trains the encoder as well. Always so for an
            encoder without pretrained weights.
        top_answers: size of the answer vocabulary; None takes the data set's default.
        word_vectors: text file of pretrained word vectors (word2vec or GloVe format); None for none.
        test_share: share of the images whose questions become the test split, in [0, 1), for data that
            come without one.
        seed: seed of the random choice of validation and test images.
        strict: make every problem of the data an error.
        allow_loss: largest share of the entries of a file that may be left out, in [0, 1); one entry always may.
            None allows 0.01, and no damaged file whose lost entries nobody can count.
        keep_answers: keep answers apart that differ only in capitals, blanks, a final full stop or Unicode form.
    """

    encoder: str = DEFAULT_ENCODER
    weights: Path | None = None
    layer: str | None = None
    grid: int | None = None
    image_size: int | None = None
    fine_tune: bool = False
    top_answers: int | None = None
    word_vectors: Path | None = None
    test_share: float = 0.0
    seed: int = 0
    strict: bool = False
    allow_loss: float | None = None
    keep_answers: bool = False


@keep_random_states()
@one_thread_if_forked()
def prepare(name: str, out: Path, options: Options = Options(), location: Location | None = None) -> PreparedData:
    """Prepares the data set called `name` in the folder `out`, or opens it if it is prepared there already.

    The folder gets its name only when it is complete; an interrupted preparation continues where it stopped. The
    problems of the data are listed in `problems.txt` there.

    Raises:
        InputError: if the data set or encoder is unknown, a file is missing, too many entries would be left out, too
            many images are unreadable, or the folder cannot be written or holds data that were prepared differently.
    """
    otherwise = f"{PROBLEMS} of the prepared folder lists all problems"
    problems = Problems(strict=options.strict, otherwise=otherwise, allowed_loss=options.allow_loss)
    out, options, location = path_from_home(out), _from_home(options), _from_home(location)
    if out.name in {"", ".."}:
        raise InputError(f"prepared data cannot go to {out}; accepted: a new folder, such as data/{name}")
    dataset = _read(name, location, out, problems)
    if options.test_share and dataset.test:
        raise InputError(f"test share must be 0 for data with a test split, but got {options.test_share:g}")
    described_options = _describe_options(dataset, options, out)
    dataset, survey = _survey(dataset, problems)
    dataset = split_off_test(dataset, share=options.test_share, seed=options.seed, first_copy=survey.first_copy)
    dataset = merge_answers(dataset, problems, keep=options.keep_answers)
    grey_range = survey.grey_range and list(survey.grey_range)
    inputs = {**describe_dataset(dataset, survey.hashes), **described_options, "grey_range": grey_range}
    if exists(out):  # before the lock, which cannot be taken in a folder that cannot be written
        return _reuse(out, inputs, strict=options.strict)
    try:
        with lock(out):
            if exists(out):
                return _reuse(out, inputs, strict=options.strict)
            with partial_folder(out, problems) as partial:
                problems.check_losses()  # again: now missing images are known
                _write(dataset, inputs, options, partial, problems, survey)
                name_folder(partial, out)
    except OSError as error:
        raise InputError(f"cannot write prepared data to {out}: {error}") from error
    return PreparedData.open(out)


def _from_home(value: Any) -> Any:  # noqa: ANN401 - options of any kind, with paths among them
    """The same with the home folder in the place of `~` in each path."""
    if isinstance(value, Path):
        return path_from_home(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _from_home(getattr(value, each.name)) for each in fields(value)})
    if isinstance(value, Mapping):
        return {name: _from_home(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_from_home(each) for each in value]
    return value


def _read(name: str, location: Location | None, out: Path, problems: Problems) -> RawDataset:
    """Reads the data set. If it cannot be used, the problems that were found are listed beside `out`.

    Raises:
        InputError: if it cannot be read, or too many entries would be left out.
    """
    try:
        dataset = read_dataset(name, location or Location(), problems)
        problems.check_losses()
    except InputError as error:
        if not problems.found:
            raise
        with suppress(OSError), lock(out):
            partial = new_partial(out)
            list_problems(problems, partial)
            raise InputError(f"{error}; {partial / PROBLEMS} lists all problems") from error
        raise
    return dataset


def _survey(dataset: RawDataset, problems: Problems) -> tuple[RawDataset, Survey]:
    """Reads all image files, and leaves out the images that are missing.

    Their questions count as lost entries of their split.
    """
    survey = survey_images({key: path for key, path in dataset.images.items() if key not in dataset.not_found})
    missing = {**dataset.not_found, **survey.missing}
    for split_name, questions in _parts(dataset).items():
        part = f"the {split_name} questions of {dataset.name}"
        problems.add_file(part, len(questions))
        for key, asked in Counter(q.image for q in questions if q.image in missing).items():
            problems.lose(MISSING, key, missing[key], file=part, entries=asked)
    return leave_out_images(dataset, missing), survey


def _parts(dataset: RawDataset) -> Mapping[str, Sequence[Question]]:
    """The questions of each split that the data set has."""
    parts = {split: getattr(dataset, split) or () for split in SPLITS}
    return {split: part for split, part in parts.items() if part}


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


def _describe_options(dataset: RawDataset, options: Options, out: Path) -> dict[str, Any]:
    """The options as plain values, with the defaults filled in.

    Raises:
        InputError: if the options do not fit the encoder or the images, or its weights are missing.
    """
    encoder = find_encoder(options.encoder)
    size = options.image_size if options.image_size is not None else encoder.image_size or dataset.image_size
    layer, grid = _choose_regions(dataset, options, size)
    word_vectors = options.word_vectors and sha256(options.word_vectors)
    return {
        "encoder": encoder.name,
        "layer": layer,
        "grid": grid,
        "weights": _name_weights(encoder, options.weights, out),
        "image_size": size,
        "fine_tune": options.fine_tune or not encoder.has_weights,
        "top_answers": options.top_answers or dataset.top_answers,
        "word_vectors": word_vectors,
        "test_share": options.test_share,
        "seed": options.seed,
        "keep_answers": options.keep_answers,
    }


def _choose_regions(dataset: RawDataset, options: Options, size: int) -> tuple[str, int]:
    """The layer of the image encoder, and the number of regions along an edge of images of `size` pixels.

    Raises:
        InputError: if the options do not fit the encoder or the images.
    """
    encoder, layer, grid = find_encoder(options.encoder), options.layer, options.grid
    if layer is None and options.encoder == DEFAULT_ENCODER:
        layer = dataset.layer
        if grid is None and dataset.grid is not None:
            grid = min(dataset.grid, encoder.regions(layer, size).edge)
    regions = encoder.regions(layer, size)
    return regions.layer, regions.grid(grid, encoder.name, size)


def _name_weights(encoder: Encoder, file: Path | None, out: Path) -> str | None:
    """What the encoder's weights are called; a hash of their file is part of the name. None if it has none.

    Where data are prepared already in `out` and the file is not on this machine, it is the name that they have.

    Raises:
        InputError: if the file is missing, or is none for this encoder.
    """
    if isinstance(encoder, Architecture):
        if file is not None:
            raise InputError(f"--weights is for the encoders of torchvision and timm, but got {encoder.name}")
        return encoder.weights
    if file is not None:
        return name_weights(file.stem, file)
    prepared = exists(out)
    try:
        return name_weights(encoder.weights, encoder.weights_file(download=not prepared))
    except InputError:
        if prepared:
            return PreparedData.open(out).weights
        raise


@dataclass(frozen=True)
class _Questions:
    """The questions of a data set as they are written: split, with their vocabularies and pretrained word vectors."""

    splits: Mapping[str, Sequence[Question]]
    vocabularies: Vocabularies
    vectors: NDArray[np.float32] | None

    @classmethod
    def of(cls, dataset: RawDataset, options: Options, survey: Survey, problems: Problems) -> Self:
        splits = split(dataset, seed=options.seed, first_copy=survey.first_copy)
        # Built from train and validation, so that retraining on both needs no other vocabularies.
        vocabularies = build_vocabularies(
            dataset.learned_from, options.top_answers or dataset.top_answers, dataset.answer_key
        )
        words = vocabularies.words.words
        vectors = read_word_vectors(options.word_vectors, words, problems) if options.word_vectors else None
        return cls(splits, vocabularies, vectors)


def _write(
    dataset: RawDataset,
    inputs: dict[str, Any],
    options: Options,
    folder: Path,
    problems: Problems,
    survey: Survey,
) -> None:
    report_shared_images(dataset, survey.first_copy, problems)
    # Before the images, so that what is wrong with the questions is reported before the long work.
    questions = _Questions.of(dataset, options, survey, problems)
    used = sorted({question.image for part in questions.splits.values() for question in part})
    images = Images({key: dataset.images[key] for key in used}, survey.hashes, survey.grey_range)
    written = write_images(images, inputs, folder, problems, options.allow_loss, options.weights)
    if damaged := set(used).difference(written.keys):
        splits = _parts(dataset)
        dataset = leave_out_images(dataset, damaged)
        if lost := splits.keys() - _parts(dataset).keys():
            raise InputError(f"all images of the split {min(lost)} are damaged, and no question of it would be left")
        questions = _Questions.of(dataset, options, survey, Problems())
    write_splits(questions.splits, questions.vocabularies, written.keys, folder)
    if questions.vectors is not None:
        np.save(folder / WORD_VECTORS, questions.vectors)
    files = {key: str(dataset.images[key].resolve()) for key in written.keys}
    (folder / IMAGE_FILES).write_text(json.dumps(files, ensure_ascii=False, indent=0), encoding="utf-8")
    _write_manifest(dataset, inputs, questions, len(written.keys), folder, problems)
    written.rows.move_to(folder / (PIXELS if inputs["fine_tune"] else FEATURES))


def _write_manifest(
    dataset: RawDataset,
    inputs: dict[str, Any],
    questions: _Questions,
    images: int,
    folder: Path,
    problems: Problems,
) -> None:
    splits, vocabularies = questions.splits, questions.vocabularies
    as_shipped = {"train": dataset.train, "validation": dataset.validation or (), "test": dataset.test}
    manifest = {
        "format": FORMAT,
        "fingerprint": short_hash(inputs),
        "inputs": inputs,
        "precision": fastest_precision(best_device()),  # no input: data prepared on any machine are the same data
        "counts": {name: len(part) for name, part in splits.items()},
        "images": images,
        "metrics": list(dataset.metrics),
        "as_shipped": coverage({name: part for name, part in as_shipped.items() if part}, vocabularies),
        "coverage": coverage(splits, vocabularies),
        "problems": problems.summary(),
        "notes": [*problems.notes, *tokenizer_notes(splits, vocabularies)],
        "training_defaults": dict(dataset.training_defaults),
        "answers": vocabularies.answers,
        "words": vocabularies.words.words,
        "tokenizer": vocabularies.words.tokenizer,
    }
    list_problems(problems, folder)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
