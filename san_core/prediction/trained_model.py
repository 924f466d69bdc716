"""A trained network and what it says to questions about pictures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from san_core.data.images import as_picture, to_pixels
from san_core.data.vocabulary import PADDING, Vocabulary
from san_core.errors import InputError
from san_core.hardware import autocast, explain_out_of_memory
from san_core.models.san import SAN

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

    def __str__(self) -> str:
        """A line for each answer: probability and words."""
        return "\n".join(f"{answer.probability:6.1%}  {answer.text}" for answer in self.answers)


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

    def ask(self, image: str | Path | Image.Image, question: str, *, top: int = 5) -> Reply:
        """What the network says to a question about a picture of any size, and where it looked.

        Args:
            image: a picture file, or a picture that Pillow has opened.
            question: in words, not empty.
            top: how many answers to return, >= 1; there are never more than the network knows.

        Raises:
            InputError: for a picture that cannot be read, or an empty question.
        """
        if not question.strip():
            raise InputError("the question is empty; accepted: any words")
        return self.reply(to_pixels(as_picture(image), self.image_size), question, top=top)

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
        with explain_out_of_memory("the questions"):
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
