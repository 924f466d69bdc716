"""The prepared data set on disk: the one form every trial trains from."""

import json
import mmap
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.data.question_table import read_questions
from san_core.data.source import Question
from san_core.data.vocabulary import Vocabulary
from san_core.errors import InputError
from san_core.files import is_file

FORMAT = 3
MANIFEST = "manifest.json"
FEATURES = "features.npy"
PIXELS = "pixels.npy"
QUESTIONS = "questions.npy"
WORD_VECTORS = "word_vectors.npy"
PROBLEMS = "problems.txt"
IMAGE_FILES = "image_files.json"

SPLITS = ("train", "validation", "test", "unanswered")
"""Every split there may be; `unanswered` questions have no right answers."""


# Python names it only since 3.13; 0x4000 on Linux.
_MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


@dataclass(frozen=True)
class Split:
    """Questions of one split, as numbers.

    Attributes:
        images: row of each question's image in the features [Q].
        questions: row of each question's words among the distinct questions [Q].
        answers: number of each right answer, -1 where the answer vocabulary lacks it [Q].
        people: number of each person's answer [Q, P], -1 where the vocabulary lacks it or fewer answered.
    """

    images: NDArray[np.int32]
    questions: NDArray[np.int32]
    answers: NDArray[np.int32]
    people: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.answers)

    def __add__(self, other: "Split") -> "Split":
        """The questions of both."""
        return Split(*(np.concatenate(pair) for pair in zip(self._columns(), other._columns(), strict=True)))

    def where(self, kept: NDArray[np.bool_]) -> "Split":
        """The questions for which `kept` [Q] holds."""
        return Split(*(column[kept] for column in self._columns()))

    def save(self, folder: Path, name: str) -> None:
        """Writes the split."""
        np.savez(folder / f"{name}.npz", **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Reads what `save` wrote."""
        with np.load(folder / f"{name}.npz") as columns:
            return cls(**{f.name: columns[f.name] for f in fields(cls)})

    def _columns(self) -> list[NDArray[np.int32]]:
        return [getattr(self, f.name) for f in fields(self)]


@dataclass(frozen=True)
class Batch:
    """The arguments of `SAN.forward`."""

    images: Tensor
    image_rows: Tensor
    tokens: Tensor
    question_rows: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the network is given."""
        return self.images, self.image_rows, self.tokens, self.question_rows

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self.inputs))


class PreparedData:
    """A prepared data set, its images mapped read-only from disk.

    However many processes open the same folder, the machine holds its images in memory once.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.words = Vocabulary(manifest["words"])
        self.answers: list[str] = manifest["answers"]
        self._asked: dict[str, list[Question]] = {}

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens a folder written by `san_core.prepare`.

        Raises:
            InputError: if it is not one, or was written by another version.
        """
        path = folder / MANIFEST
        if not is_file(path):
            raise InputError(f"{folder} is not a prepared data set: it has no {MANIFEST}")
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                found = manifest["format"]
                raise InputError(
                    f"{folder} has format {found}, accepted: {FORMAT}; delete it and prepare the data again"
                )
            data = cls(folder.resolve(), manifest)
            splits = [f"{name}.{suffix}" for name in manifest["counts"] for suffix in ("npz", "parquet")]
            files = [QUESTIONS, PIXELS if data.fine_tune else FEATURES, *splits]
        except InputError:
            raise
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is damaged ({error!r}); delete {folder} and prepare the data again") from error
        if missing := [file for file in files if not is_file(folder / file)]:
            raise InputError(
                f"{folder} is damaged: it lacks {', '.join(missing)}; delete it and prepare the data again"
            )
        return data

    @property
    def name(self) -> str:
        """The data set's name."""
        return str(self.manifest["inputs"]["data"])

    @property
    def fingerprint(self) -> str:
        """Of everything the prepared data follow from."""
        return str(self.manifest["fingerprint"])

    @property
    def encoder(self) -> str:
        """The image encoder's name."""
        return str(self.manifest["inputs"]["encoder"])

    @property
    def layer(self) -> str:
        """The image encoder's layer that the regions come from."""
        return str(self.manifest["inputs"]["layer"])

    @property
    def grid(self) -> int:
        """Regions along an edge of an image."""
        return int(self.manifest["inputs"]["grid"])

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics the data set's literature reports, the one it leads with first."""
        return list(self.manifest["metrics"])

    @property
    def splits(self) -> list[str]:
        """The splits there are."""
        return list(self.manifest["counts"])

    @property
    def fine_tune(self) -> bool:
        """Whether the images are kept as pixels, to train the image encoder with the rest."""
        return bool(self.manifest["inputs"]["fine_tune"])

    @property
    def image_size(self) -> int:
        """Edge of the square every image was brought to, in pixels."""
        return int(self.manifest["inputs"]["image_size"])

    @property
    def training_defaults(self) -> dict[str, float | int | str]:
        """`TrainingConfig` fields that suit the data set."""
        return dict(self.manifest["training_defaults"])

    def split(self, name: str) -> Split:
        """A split by name.

        Raises:
            InputError: if the data set has none of that name.
        """
        self._check(name)
        return Split.load(self.folder, name)

    def asked(self, name: str) -> list[Question]:
        """A split's questions in words, in the order of `split`.

        Raises:
            InputError: if the data set has none of that name.
        """
        if name not in self._asked:
            self._check(name)
            self._asked[name] = read_questions(self.folder / f"{name}.parquet")
        return self._asked[name]

    def _check(self, name: str) -> None:
        if name not in self.splits:
            raise InputError(f"{self.folder} has no {name} split; accepted: {', '.join(self.splits)}")

    @cached_property
    def images(self) -> Tensor:
        """Region features [N, R, C] (bfloat16), or pixels [N, S, S, 3] (uint8) for fine-tuning."""
        images = torch.from_numpy(_map(self.folder / (PIXELS if self.fine_tune else FEATURES)))
        return images if self.fine_tune else images.view(torch.bfloat16)

    @cached_property
    def image_files(self) -> dict[str, Path]:
        """Where each image's file was when the data were prepared, by its key; it may be gone."""
        path = self.folder / IMAGE_FILES
        files = json.loads(path.read_text(encoding="utf-8")) if is_file(path) else {}
        return {key: Path(file) for key, file in files.items()}

    @cached_property
    def questions(self) -> Tensor:
        """Word numbers of the distinct questions [U, L], padded behind with 0."""
        return torch.from_numpy(np.load(self.folder / QUESTIONS)).long()

    @cached_property
    def word_vectors(self) -> Tensor | None:
        """Pretrained vectors of the words [V, D], padding and unknown included; None if prepared without."""
        path = self.folder / WORD_VECTORS
        return torch.from_numpy(np.load(path)) if is_file(path) else None

    def batch(self, split: Split, rows: NDArray[np.integer]) -> Batch:
        """The split's rows [B], each distinct image and question once."""
        images, image_rows = np.unique(split.images[rows], return_inverse=True)
        questions, question_rows = np.unique(split.questions[rows], return_inverse=True)
        return Batch(
            images=self.images[torch.from_numpy(images)],
            image_rows=torch.from_numpy(image_rows),
            tokens=self.questions[torch.from_numpy(questions)],
            question_rows=torch.from_numpy(question_rows),
        )


def _map(path: Path) -> NDArray[Any]:
    """A .npy file as memory: read from disk where it is used, and whatever is written to it stays in this process.

    NumPy's own mmap_mode="c" does the same, but reserves memory for a copy of the whole file, which Linux refuses
    for one that is larger than memory.
    """
    found = np.load(path, mmap_mode="r")
    flags, protection = mmap.MAP_PRIVATE | _MAP_NORESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=flags, prot=protection)
    return np.frombuffer(mapped, found.dtype, offset=found.offset).reshape(found.shape)
