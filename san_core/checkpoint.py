"""A model folder: a trained network that rebuilds itself from nothing else."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.files import is_file
from san_core.hardware import autocast, best_device
from san_core.models.folding import folded
from san_core.models.image_encoder import build_image_encoder, layer_of
from san_core.models.san import SAN, build_san
from san_core.text import PADDING, Vocabulary

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
FORMAT = 2

# What one pass through the network works on. A CPU encodes large pictures faster one by one.
_PIXELS_PER_PASS = {"cpu": 448 * 448, "cuda": 64 * 224 * 224}
_QUESTIONS_PER_PASS = 128


@dataclass(frozen=True)
class Answer:
    """An answer and the probability the network gives it, in [0, 1]."""

    text: str
    probability: float


@dataclass(frozen=True, eq=False)
class Reply:
    """What the network says to a question about a picture, and where it looked for it.

    Attributes:
        answers: the likeliest answers, best first.
        attention: [hops, rows, columns], float32: each hop's share of attention per region, row by row from
            the picture's top left. A hop's shares are >= 0 and sum to 1.
    """

    answers: list[Answer]
    attention: NDArray[np.float32]


class TrainedModel:
    """A network with all it needs to answer questions about pictures.

    Attributes:
        network: the network, image encoder included.
        words: the words it knows.
        answers: the answers it can give.
        image_size: edge of the square it sees, in pixels.
        description: configuration, data and metrics it was saved with.
    """

    def __init__(self, network: SAN, description: Mapping[str, Any]) -> None:
        self.network = network.eval()
        self.description = description
        self.words = Vocabulary(description["words"])
        self.answers: list[str] = description["answers"]
        self.image_size: int = description["image_size"]

    def answer(self, pixels: NDArray[np.uint8], question: str, *, top: int = 5) -> list[Answer]:
        """The likeliest answers to a question about a picture, best first. Arguments as for `reply`."""
        return self.reply(pixels, question, top=top).answers

    def reply(self, pixels: NDArray[np.uint8], question: str, *, top: int = 5) -> Reply:
        """The likeliest answers to a question about a picture, and where the network looked.

        Args:
            pixels: [image_size, image_size, 3], RGB, uint8; `san_core.data.images.load_pixels` makes them.
            question: in words.
            top: how many answers to return, >= 1; there are never more than the network knows.
        """
        return self.replies([(pixels, question)], top=top)[0]

    def replies(self, asked: Sequence[tuple[NDArray[np.uint8], str]], *, top: int = 5) -> list[Reply]:
        """As `reply`, for many questions at once, in their order.

        A picture several questions are about is worked on once if they share its array (once per 128
        questions). Memory for the work is bounded however many are asked.

        Args:
            asked: pairs of pixels and question.
            top: how many answers to return to each.
        """
        device = next(self.network.parameters()).device
        images_per_pass = max(1, _PIXELS_PER_PASS[device.type] // self.image_size**2)
        replies: dict[int, Reply] = {}
        for rows in _passes([id(pixels) for pixels, _ in asked], images_per_pass):
            replies |= zip(rows, self._pass([asked[row] for row in rows], top), strict=True)
        return [replies[row] for row in range(len(asked))]

    @torch.inference_mode()
    def _pass(self, asked: Sequence[tuple[NDArray[np.uint8], str]], top: int) -> list[Reply]:
        device = next(self.network.parameters()).device
        images = {id(pixels): pixels for pixels, _ in asked}
        image_rows = {key: row for row, key in enumerate(images)}
        question_rows = {question: row for row, question in enumerate(dict.fromkeys(text for _, text in asked))}
        words = [torch.tensor(self.words.encode(question)) for question in question_rows]
        inputs = (
            torch.from_numpy(np.stack(list(images.values()))),
            torch.tensor([image_rows[id(pixels)] for pixels, _ in asked]),
            nn.utils.rnn.pad_sequence(words, batch_first=True, padding_value=PADDING),
            torch.tensor([question_rows[question] for _, question in asked]),
        )
        with autocast(device, self.description["config"]["precision"]):
            logits, maps = self.network.attend(*(tensor.to(device) for tensor in inputs))
        best = logits.float().softmax(dim=1).topk(min(top, len(self.answers)))
        attention = torch.stack(maps, dim=1).float()  # [B, hops, R]
        attention /= attention.sum(dim=2, keepdim=True)  # bfloat16 shares sum to 1 only nearly
        side = math.isqrt(attention.shape[2])
        grids = attention.reshape(len(asked), len(maps), side, side).cpu().numpy()
        rows = zip(best.indices.tolist(), best.values.tolist(), grids, strict=True)
        return [
            Reply([Answer(self.answers[n], p) for n, p in zip(numbers, probabilities, strict=True)], grid)
            for numbers, probabilities, grid in rows
        ]


def _passes(images: Sequence[int], images_per_pass: int) -> Iterator[list[int]]:
    """Cuts rows into passes of limited size; rows about one image stay together.

    Args:
        images: each row's image.
        images_per_pass: the most distinct images in a pass.

    Yields:
        The numbers of the rows of a pass.
    """
    rows_of: dict[int, list[int]] = {}
    for row, image in enumerate(images):
        rows_of.setdefault(image, []).append(row)
    chosen: list[int] = []
    taken = 0
    for rows in rows_of.values():
        for start in range(0, len(rows), _QUESTIONS_PER_PASS):
            part = rows[start : start + _QUESTIONS_PER_PASS]
            if taken == images_per_pass or len(chosen) + len(part) > _QUESTIONS_PER_PASS:
                yield chosen
                chosen, taken = [], 0
            chosen = chosen + part
            taken += 1
    if chosen:
        yield chosen


def save_model(
    folder: Path, model: SAN, config: TrainingConfig, data: PreparedData, metrics: Mapping[str, Any]
) -> None:
    """Writes a network to a folder that loads without any other file.

    A network trained on prepared features gets the frozen encoder those came from, so that it can be
    shown any picture.

    Raises:
        InputError: if the folder cannot be written.
    """
    encoder = model.image_encoder or build_image_encoder(data.encoder, layer=data.layer, grid=data.grid)
    weights = {f"image_encoder.{name}": value for name, value in encoder.state_dict().items()}
    weights |= {name: value for name, value in model.state_dict().items() if not name.startswith("image_encoder.")}
    description = {
        "format": FORMAT,
        "config": config.to_dict(),
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "encoder": data.encoder,
        "layer": data.layer,
        "grid": data.grid,
        "image_size": data.image_size,
        "word_vector_size": _word_vector_size(config, data),
        "metrics": dict(metrics),
        "answers": data.answers,
        "words": data.words.words,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.cpu().contiguous() for name, value in weights.items()}, folder / WEIGHTS)
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write model folder {folder}: {error}") from error


def _word_vector_size(config: TrainingConfig, data: PreparedData) -> int | None:
    """D of the pretrained vectors the network started from; None if it started from random ones."""
    if config.embedding_init != "pretrained" or data.word_vectors is None:
        return None
    return data.word_vectors.shape[1]


def load_model(folder: Path) -> TrainedModel:
    """The network that `save_model` wrote to a folder, on the best device.

    Raises:
        InputError: if the folder is not a model folder, or is damaged.
    """
    path = folder / DESCRIPTION
    if not is_file(path):
        raise InputError(
            f"{folder} is not a model folder: it has no {DESCRIPTION}; accepted: a folder that tuning.retrain wrote"
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise InputError(f"model folder {folder} has format {description['format']}, accepted: {FORMAT}")
        network = _rebuild(description)
        network.load_state_dict(load_file(folder / WEIGHTS))
        if network.image_encoder is not None:
            network.image_encoder = folded(network.image_encoder)  # as pictures were prepared
        return TrainedModel(network.to(best_device()), description)
    except InputError:
        raise
    except (OSError, TypeError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"model folder {folder} is damaged: {' '.join(str(error).split())}") from error


def _rebuild(description: Mapping[str, Any]) -> SAN:
    encoder, layer, words = description["encoder"], description["layer"], len(Vocabulary(description["words"]))
    return build_san(
        TrainingConfig.from_dict(description["config"]),
        channels=layer_of(encoder, layer).channels,
        vocabulary_size=words,
        answers=len(description["answers"]),
        image_encoder=build_image_encoder(encoder, layer=layer, grid=description["grid"], pretrained=False),
        vectors=torch.zeros(words, description["word_vector_size"]) if description["word_vector_size"] else None,
    )
