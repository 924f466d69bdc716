"""Saves a trained network to a model folder, and loads it from nothing but that folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.data.stored_encoder import load_encoder
from san_core.data.vocabulary import Vocabulary
from san_core.errors import InputError
from san_core.file_kinds import LONGEST_START, kind_of_content, why_missing
from san_core.files import (
    is_file,
    is_folder,
    make_folder,
    path_from_home,
    read_bytes,
    read_start,
    sha256,
    write_atomically,
    write_text,
)
from san_core.hardware import best_device, explain_out_of_memory, is_forked, one_thread
from san_core.models.batch_norm_fusion import fuse_batch_norm
from san_core.models.ensemble import Ensemble
from san_core.models.image_encoder import ImageEncoder, build_image_encoder
from san_core.models.san import SAN, build_san
from san_core.prediction.trained_model import TrainedModel
from san_core.random_states import keep_random_states

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
FORMAT = 2

DIGEST = "weights_sha256"
"""Key of the description: SHA-256 of the weights. Models saved by earlier versions have none."""

SEEDS = "seeds"
"""Key of the description of an ensemble: the seeds that its members were trained under."""

_ENCODER = "image_encoder."


def save_model(  # noqa: PLR0913
    folder: Path,
    model: SAN | Ensemble,
    config: TrainingConfig,
    data: PreparedData,
    metrics: Mapping[str, Any],
    seeds: Sequence[int] = (),
) -> None:
    """Saves a network, or an ensemble, to a folder from which it can be loaded without any other file.

    For a network trained on prepared features, the image encoder of those features is saved with it, so that it can
    answer questions about any image; an ensemble has it once.

    Args:
        folder: the model folder.
        model: the network or ensemble.
        config: its configuration; of an ensemble that of the first member.
        data: the data that it was trained on.
        metrics: what the description says of its scores.
        seeds: of an ensemble, the seed of each member.

    Raises:
        InputError: if the folder cannot be written.
    """
    folder, weights = path_from_home(folder), model.state_dict()
    if not data.fine_tune:
        weights |= {f"{_ENCODER}{name}": value for name, value in load_encoder(data).state_dict().items()}
    description: dict[str, Any] = {
        "format": FORMAT,
        "config": config.to_dict(),
        "data": data.name,
        "data_folder": str(data.folder),
        "data_fingerprint": data.fingerprint,
        "encoder": data.encoder,
        "layer": data.layer,
        "weights": data.weights,
        "grid": data.grid,
        "image_size": data.image_size,
        "grey_range": data.grey_range,
        "word_vector_size": _word_vector_size(config, data),
        "metrics": dict(metrics),
        "answers": data.answers,
        "words": data.words.words,
        "tokenizer": data.words.tokenizer,
        **({SEEDS: list(seeds)} if seeds else {}),
    }
    try:
        make_folder(folder, exist_ok=True)
        tensors = {name: value.cpu().contiguous() for name, value in weights.items()}
        write_atomically(folder / WEIGHTS, lambda partial: save_file(tensors, partial))
        description[DIGEST] = sha256(folder / WEIGHTS)
        write_text(folder / DESCRIPTION, json.dumps(description, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"cannot write model folder {folder}: {error}") from error


def _word_vector_size(config: TrainingConfig, data: PreparedData) -> int | None:
    """Length D of the pretrained word vectors that training started from; None if it started from random ones."""
    if config.embedding_init != "pretrained" or data.word_vectors is None:
        return None
    return data.word_vectors.shape[1]


@keep_random_states()
def load_model(folder: Path) -> TrainedModel:
    """Loads the network or ensemble that `save_model` wrote to a folder, on the best device.

    Raises:
        InputError: if the folder is not a model folder, or is damaged.
    """
    path = folder / DESCRIPTION
    if not is_file(path):
        raise InputError(
            f"{folder} is not a model folder: it {_why_no_model(folder)}; "
            "accepted: a folder that tuning.retrain wrote, such as runs/NAME/retrained/best"
        )
    try:
        description = json.loads(read_bytes(path))
        if description["format"] != FORMAT:
            raise InputError(f"model folder {folder} has format {description['format']}, accepted: {FORMAT}")
        _check_weights(folder / WEIGHTS, description.get(DIGEST))
        with one_thread(is_forked()), torch.random.fork_rng(devices=[]):  # the user's random numbers stay as they are
            weights = load_file(folder / WEIGHTS)
            network = _rebuild(description, shares_encoder=any(name.startswith(_ENCODER) for name in weights))
            network.load_state_dict(weights)
            for part in [network, *(network if isinstance(network, Ensemble) else [])]:
                if part.image_encoder is not None:
                    part.image_encoder = fuse_batch_norm(part.image_encoder)  # as when the images were prepared
        with explain_out_of_memory("the model"):
            return TrainedModel(network.to(best_device()), description)
    except InputError:
        raise
    except (OSError, TypeError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"model folder {folder} is damaged: {' '.join(str(error).split())}") from error


def _why_no_model(folder: Path) -> str:
    """What a path is that is no model folder, as the end of a sentence."""
    if is_file(folder):
        if folder.name in (WEIGHTS, DESCRIPTION):
            return f"is a file of one; its folder is {folder.parent}"
        return f"is {kind_of_content(read_start(folder, LONGEST_START)) or 'a file'}"
    return f"has no {DESCRIPTION}" if is_folder(folder) else why_missing(folder)


def _check_weights(path: Path, digest: str | None) -> None:
    """Checks that the weights are those that the description was saved with.

    Raises:
        ValueError: if they are not.
    """
    if not is_file(path):
        raise ValueError(f"it has no {path.name}")
    read_start(path, 0)  # which tells of a file that Git LFS has not fetched
    if digest is not None and sha256(path) != digest:
        raise ValueError(
            f"{path.name} is not the file that it was saved with: its SHA-256 differs from the one in {DESCRIPTION}"
        )


def _rebuild(description: Mapping[str, Any], *, shares_encoder: bool) -> SAN | Ensemble:
    """The network or ensemble, untrained.

    Args:
        description: content of the model folder's description.
        shares_encoder: whether the members of an ensemble have one image encoder in common.
    """
    encoder, seeds = _build_encoder(description), description.get(SEEDS)
    if not seeds:
        return _build_network(description, encoder.channels, encoder)
    own = [None if shares_encoder else _build_encoder(description) for _ in seeds]
    members = [_build_network(description, encoder.channels, each) for each in own]
    return Ensemble(members, encoder if shares_encoder else None)


def _build_encoder(description: Mapping[str, Any]) -> ImageEncoder:
    return build_image_encoder(
        description["encoder"],
        layer=description["layer"],
        grid=description["grid"],
        image_size=description["image_size"],
        pretrained=False,
    )


def _build_network(description: Mapping[str, Any], channels: int, encoder: ImageEncoder | None) -> SAN:
    words = len(Vocabulary(description["words"]))
    return build_san(
        TrainingConfig.from_dict(description["config"]),
        channels=channels,
        vocabulary_size=words,
        answers=len(description["answers"]),
        image_encoder=encoder,
        vectors=torch.zeros(words, description["word_vector_size"]) if description["word_vector_size"] else None,
    )
