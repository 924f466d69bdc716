"""A model folder: a trained network that rebuilds itself from nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.files import is_file
from san_core.hardware import autocast, best_device
from san_core.models.image_encoder import architecture_of, build_image_encoder
from san_core.models.san import SAN, build_san
from san_core.text import Vocabulary

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
FORMAT = 1


@dataclass(frozen=True)
class Answer:
    """An answer and the probability the network gives it, in [0, 1]."""

    text: str
    probability: float


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

    @torch.inference_mode()
    def answer(self, pixels: NDArray[np.uint8], question: str, *, top: int = 5) -> list[Answer]:
        """The likeliest answers to a question about a picture, best first.

        Args:
            pixels: [image_size, image_size, 3], RGB, uint8; `san_core.data.images.load_pixels` makes them.
            question: in words.
            top: how many answers to return.
        """
        device = next(self.network.parameters()).device
        one = torch.zeros(1, dtype=torch.int64, device=device)
        images = torch.from_numpy(pixels.copy()).unsqueeze(0).to(device)
        tokens = torch.tensor([self.words.encode(question)], device=device)
        with autocast(device, self.description["config"]["precision"]):
            logits = self.network(images, one, tokens, one)
        probabilities, numbers = logits.float().softmax(dim=1)[0].topk(min(top, len(self.answers)))
        pairs = zip(numbers.tolist(), probabilities.tolist(), strict=True)
        return [Answer(self.answers[number], probability) for number, probability in pairs]


def save_model(
    folder: Path, model: SAN, config: TrainingConfig, data: PreparedData, metrics: Mapping[str, Any]
) -> None:
    """Writes a network to a folder that loads without any other file.

    A network trained on prepared features gets the frozen encoder those came from, so that it can be
    shown any picture.

    Raises:
        InputError: if the folder cannot be written.
    """
    encoder = model.image_encoder or build_image_encoder(data.encoder)
    weights = {f"image_encoder.{name}": value for name, value in encoder.state_dict().items()}
    weights |= {name: value for name, value in model.state_dict().items() if not name.startswith("image_encoder.")}
    description = {
        "format": FORMAT,
        "config": config.to_dict(),
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "encoder": data.encoder,
        "image_size": data.image_size,
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
        return TrainedModel(network.to(best_device()), description)
    except InputError:
        raise
    except (OSError, TypeError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"model folder {folder} is damaged: {' '.join(str(error).split())}") from error


def _rebuild(description: Mapping[str, Any]) -> SAN:
    return build_san(
        TrainingConfig.from_dict(description["config"]),
        channels=architecture_of(description["encoder"]).channels,
        vocabulary_size=len(Vocabulary(description["words"])),
        answers=len(description["answers"]),
        image_encoder=build_image_encoder(description["encoder"], pretrained=False),
    )
