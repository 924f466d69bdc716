"""A trained network that answers questions about images."""

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

from san_core.data.images.grey_values import Range
from san_core.data.images.reading import open_to_resize, to_pixels
from san_core.data.vocabulary import LETTERS, PADDING, Vocabulary
from san_core.errors import InputError
from san_core.hardware import autocast, explain_out_of_memory
from san_core.models.san import SAN

# Largest sizes of one forward pass. A CPU encodes large images faster one by one.
_PIXELS_PER_PASS = {"cpu": 448 * 448, "cuda": 64 * 224 * 224}
_QUESTIONS_PER_PASS = 128


@dataclass(frozen=True)
class Answer:
    """An answer and its probability, in [0, 1]."""

    text: str
    probability: float


@dataclass(frozen=True, eq=False)
class Reply:
    """The answers of the network to a question about an image, and its attention.

    Attributes:
        answers: the most probable answers, best first.
        attention: [hops, rows, columns], float32: the attention of each hop to each region, row by row from the top
            left of the image. The values of a hop are >= 0 and sum to 1.
    """

    answers: list[Answer]
    attention: NDArray[np.float32]

    def __str__(self) -> str:
        """One line for each answer: probability and text."""
        return "\n".join(f"{answer.probability:6.1%}  {answer.text}" for answer in self.answers)


class TrainedModel:
    """A network with everything it needs to answer questions about images.

    Attributes:
        network: the network, including the image encoder.
        words: vocabulary of the questions.
        answers: the answers it can give.
        image_size: edge in pixels of the square that images are resized to.
        grey_range: values that become black and white in grey images of more than 8 bits whose files state none, as
            in the training data; None if there were no such images: then the range of each image is used.
        description: the configuration, data and metrics it was saved with.
    """

    def __init__(self, network: SAN, description: Mapping[str, Any]) -> None:
        self.network = network.eval()
        self.description = description
        self.words = Vocabulary(description["words"], description.get("tokenizer", LETTERS))
        self.answers: list[str] = description["answers"]
        self.image_size: int = description["image_size"]
        grey_range = description.get("grey_range")
        self.grey_range: Range | None = (float(grey_range[0]), float(grey_range[1])) if grey_range else None

    def ask(self, image: str | Path | Image.Image, question: str, *, top: int = 5) -> Reply:
        """Answers a question about an image of any size.

        Args:
            image: an image file, or an image that Pillow has opened.
            question: a text, not empty.
            top: number of answers to return, >= 1; at most all answers that the network can give.

        Raises:
            InputError: if an image cannot be read, or a question is empty.
        """
        if not question.strip():
            raise InputError("the question is empty; accepted: any words")
        picture = open_to_resize(image, self.image_size, self.grey_range)
        return self.reply(to_pixels(picture, self.image_size), question, top=top)

    def answer(self, pixels: NDArray[np.uint8], question: str, *, top: int = 5) -> list[Answer]:
        """Returns the most probable answers to a question about an image, best first. Arguments as for `reply`."""
        return self.reply(pixels, question, top=top).answers

    def reply(self, pixels: NDArray[np.uint8], question: str, *, top: int = 5) -> Reply:
        """Answers a question about an image given as pixels.

        Args:
            pixels: [image_size, image_size, 3], RGB, uint8; `san_core.data.images.reading.load_pixels` makes them.
            question: a text.
            top: number of answers to return, >= 1; at most all answers that the network can give.
        """
        return self.replies([(pixels, question)], top=top)[0]

    def replies(self, questions: Sequence[tuple[NDArray[np.uint8], str]], *, top: int = 5) -> list[Reply]:
        """Answers many questions, in their order.

        An image is encoded once (per 128 questions) for all questions that share its array. The memory needed does not
        grow with the number of questions.

        Args:
            questions: pairs of pixels and question, both as for `reply`.
            top: number of answers to return to each.
        """
        device = next(self.network.parameters()).device
        images_per_pass = max(1, _PIXELS_PER_PASS[device.type] // self.image_size**2)
        replies: dict[int, Reply] = {}
        with explain_out_of_memory("the questions"):
            for rows in _passes([id(pixels) for pixels, _ in questions], images_per_pass):
                replies |= zip(rows, self._pass([questions[row] for row in rows], top), strict=True)
        return [replies[row] for row in range(len(questions))]

    @torch.inference_mode()
    def _pass(self, questions: Sequence[tuple[NDArray[np.uint8], str]], top: int) -> list[Reply]:
        device = next(self.network.parameters()).device
        images = {id(pixels): pixels for pixels, _ in questions}
        image_rows = {key: row for row, key in enumerate(images)}
        question_rows = {question: row for row, question in enumerate(dict.fromkeys(text for _, text in questions))}
        words = [torch.tensor(self.words.encode(question)) for question in question_rows]
        inputs = (
            torch.from_numpy(np.stack(list(images.values()))),
            torch.tensor([image_rows[id(pixels)] for pixels, _ in questions]),
            nn.utils.rnn.pad_sequence(words, batch_first=True, padding_value=PADDING),
            torch.tensor([question_rows[question] for _, question in questions]),
        )
        with autocast(device, self.description["config"]["precision"]):
            logits, of_hops = self.network.attend(*(tensor.to(device) for tensor in inputs))
        best = logits.float().softmax(dim=1).topk(min(top, len(self.answers)))
        attention = torch.stack(of_hops, dim=1).float()  # [B, hops, R]
        attention /= attention.sum(dim=2, keepdim=True)  # in bfloat16 the sum is 1 only approximately
        side = math.isqrt(attention.shape[2])
        grids = attention.reshape(len(questions), len(of_hops), side, side).cpu().numpy()
        rows = zip(best.indices.tolist(), best.values.tolist(), grids, strict=True)
        return [
            Reply([Answer(self.answers[n], p) for n, p in zip(numbers, probabilities, strict=True)], grid)
            for numbers, probabilities, grid in rows
        ]


def _passes(images: Sequence[int], images_per_pass: int) -> Iterator[list[int]]:
    """Divides rows into passes of limited size; rows about the same image stay together.

    Args:
        images: the image of each row.
        images_per_pass: largest number of distinct images in a pass.

    Yields:
        The row numbers of a pass.
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
