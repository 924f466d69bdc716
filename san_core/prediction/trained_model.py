"""A trained network that answers questions about images."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from san_core.data.images.grey_values import Range
from san_core.data.images.reading import AnyImage, open_to_resize, to_pixels
from san_core.data.vocabulary import LETTERS, PADDING, Vocabulary, tokenize
from san_core.errors import InputError
from san_core.hardware import FORKED, autocast, explain_out_of_memory, is_forked, one_thread
from san_core.models.ensemble import Ensemble
from san_core.models.san import SAN, most_probable

# Largest sizes of one forward pass. A CPU encodes large images faster one by one.
_PIXELS_PER_PASS = {"cpu": 448 * 448, "cuda": 64 * 224 * 224}
_QUESTIONS_PER_PASS = 128


@dataclass(frozen=True)
class Answer:
    """An answer and its probability, in [0, 1]."""

    text: str
    probability: float

    def __str__(self) -> str:
        """The probability in percent, and the text."""
        return f"{self.probability:6.1%}  {self.text}"


@dataclass(frozen=True, eq=False)
class Reply:
    """The answers of the network to a question about an image, and its attention.

    Attributes:
        answers: the most probable answers, best first.
        attention: [hops, rows, columns], float32: the attention of each hop to each region, row by row from the top
            left of the image. The values of a hop are >= 0 and sum to 1.
        unknown_words: words of the question that the model does not know; all of them are the same to it.
    """

    answers: list[Answer]
    attention: NDArray[np.float32]
    unknown_words: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """That the model does not know words of the question; empty if it knows all."""
        if not self.unknown_words:
            return ""
        which = "this word" if len(self.unknown_words) == 1 else "these words"
        return f"the model does not know {which}: {', '.join(self.unknown_words)}"

    def to_dict(self) -> dict[str, Any]:
        """The reply without its attention, as JSON takes it."""
        return {
            "answer": self.answers[0].text,
            "probability": self.answers[0].probability,
            "answers": [{"answer": answer.text, "probability": answer.probability} for answer in self.answers],
            "unknown_words": list(self.unknown_words),
        }

    def __str__(self) -> str:
        """One line for each answer, and one for the note, if there is one."""
        return "\n".join([*map(str, self.answers), *([f"note: {self.note}"] if self.note else [])])


class TrainedModel:
    """A network with everything it needs to answer questions about images.

    Attributes:
        network: the network, including the image encoder; or an ensemble of networks, which answers like one.
        networks: number of networks that answer together: 1, or the members of an ensemble.
        words: vocabulary of the questions.
        answers: the answers it can give.
        image_size: edge in pixels of the square that images are resized to.
        grey_range: values that become black and white in grey images of more than 8 bits whose files state none, as
            in the training data; None if there were no such images: then the range of each image is used.
        description: the configuration, data and metrics it was saved with.
    """

    def __init__(self, network: SAN | Ensemble, description: Mapping[str, Any]) -> None:
        self.network = network.eval()
        self.networks = len(network.members) if isinstance(network, Ensemble) else 1
        self._process = os.getpid()
        self.description = description
        self.words = Vocabulary(description["words"], description.get("tokenizer", LETTERS))
        self.answers: list[str] = description["answers"]
        self.image_size: int = description["image_size"]
        grey_range = description.get("grey_range")
        self.grey_range: Range | None = (float(grey_range[0]), float(grey_range[1])) if grey_range else None

    def ask(self, image: AnyImage, question: str, *, top: int = 5) -> Reply:
        """Answers a question about an image of any size.

        Args:
            image: the path, the bytes or a binary file object of an image file, an image that Pillow has opened, or
                pixels [height, width, 3], RGB, uint8.
            question: a text, not empty.
            top: number of answers to return, >= 1; at most all answers that the network can give.

        Raises:
            InputError: if the image is none of these or cannot be read, the question is no text or empty, or `top` is
                no whole number >= 1.
        """
        _check_top(top)
        return self.replies([self._read(image, question)], top=top)[0]

    def ask_all(self, questions: Iterable[tuple[AnyImage, str]], *, top: int = 5) -> list[Reply]:
        """Answers many questions, in their order: faster than one by one, on all cores.

        The images are read as they are needed, so that the memory needed does not grow with their number. One that
        several questions in a row are about is encoded once.

        Args:
            questions: pairs of image and question, both as for `ask`.
            top: number of answers to return to each.

        Raises:
            InputError: see `ask`; it names the question by its number, from 1.
        """
        _check_top(top)
        if not isinstance(questions, Iterable):
            raise InputError(f"the questions are {questions!r:.80}; accepted: pairs of an image and a text")
        replies: list[Reply] = []
        numbered = enumerate(questions, start=1)
        while batch := self._read_all(islice(numbered, _QUESTIONS_PER_PASS)):
            replies += self.replies(batch, top=top)
        return replies

    def _read_all(self, questions: Iterable[tuple[int, tuple[AnyImage, str]]]) -> list[tuple[NDArray[np.uint8], str]]:
        """The pixels and texts of numbered questions; equal pixels are one array."""
        distinct: dict[bytes, NDArray[np.uint8]] = {}
        read = []
        for number, pair in questions:
            try:
                pixels, text = self._read(*_pair(pair))
            except InputError as error:
                raise InputError(f"question {number}: {error}") from error
            read.append((distinct.setdefault(pixels.tobytes(), pixels), text))
        return read

    def _read(self, image: AnyImage, question: str) -> tuple[NDArray[np.uint8], str]:
        if not isinstance(question, str):
            raise InputError(f"the question is {question!r:.80}; accepted: a text")
        if not question.strip():
            raise InputError("the question is empty; accepted: any words")
        if not tokenize(question, self.words.tokenizer):
            raise InputError(f"the question {question!r:.80} has no words; accepted: any words")
        return to_pixels(open_to_resize(image, self.image_size, self.grey_range), self.image_size), question

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
        grow with the number of questions. On a CPU few questions, those of one pass, are answered on one thread, so
        that several processes that ask at once do not wait for each other; many on all cores.

        Args:
            questions: pairs of pixels and question, both as for `reply`.
            top: number of answers to return to each.
        """
        _check_top(top)
        device = next(self.network.parameters()).device
        on_cpu = device.type == "cpu"
        if not on_cpu and self._process != os.getpid():
            raise InputError(FORKED)
        passes = list(_passes([id(pixels) for pixels, _ in questions], self._images_per_pass))
        few = len(passes) == 1
        replies: dict[int, Reply] = {}
        with explain_out_of_memory("the questions"), one_thread(on_cpu and (few or is_forked())):
            for rows in passes:
                replies |= zip(rows, self._pass([questions[row] for row in rows], top), strict=True)
        return [replies[row] for row in range(len(questions))]

    @property
    def _images_per_pass(self) -> int:
        device = next(self.network.parameters()).device
        return max(1, _PIXELS_PER_PASS[device.type] // self.image_size**2)

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
        if not logits.isfinite().all():
            raise InputError(
                "the model has no answer: it computes numbers that are not finite; its weights are damaged"
            )
        numbers_of, probabilities_of = most_probable(logits, top)
        attention = torch.stack(of_hops, dim=1).float()  # [B, hops, R]
        attention /= attention.sum(dim=2, keepdim=True)  # in bfloat16 the sum is 1 only approximately
        side = math.isqrt(attention.shape[2])
        grids = attention.reshape(len(questions), len(of_hops), side, side).cpu().numpy()
        rows = zip(questions, numbers_of.tolist(), probabilities_of.tolist(), grids, strict=True)
        return [
            Reply(
                [Answer(self.answers[n], p) for n, p in zip(numbers, probabilities, strict=True)],
                grid,
                self.words.unknown(text),
            )
            for (_, text), numbers, probabilities, grid in rows
        ]


def _pair(given: object) -> tuple[AnyImage, str]:
    if isinstance(given, tuple | list) and len(given) == 2:
        image, question = given
        return image, question
    raise InputError(f"it is {given!r:.80}; accepted: a pair of an image and a text")


def _check_top(top: int) -> None:
    if not isinstance(top, Integral) or isinstance(top, bool) or top < 1:
        raise InputError(f"top is {top!r:.80}; accepted: a whole number >= 1")


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
