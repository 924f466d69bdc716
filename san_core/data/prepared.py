"""The prepared data set on disk, which all training reads."""

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

from san_core.data.damaged_files import explain_damage
from san_core.data.questions import Question, read_questions
from san_core.data.vocabulary import Vocabulary
from san_core.errors import InputError
from san_core.file_kinds import why_missing
from san_core.files import is_file, is_folder, path_from_home, read_bytes

FORMAT = 4
MANIFEST = "manifest.json"
FEATURES = "features.npy"
PIXELS = "pixels.npy"
QUESTIONS = "questions.npy"
WORD_VECTORS = "word_vectors.npy"
PROBLEMS = "problems.txt"
IMAGE_FILES = "image_files.json"

SPLITS = ("train", "validation", "test", "unanswered")
"""All possible splits; `unanswered` questions have no right answers."""


# In Python's mmap since 3.13; its value on Linux is 0x4000.
_MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


@dataclass(frozen=True)
class Split:
    """The questions of one split, as numbers.

    Attributes:
        images: row of each question's image in `PreparedData.images` [Q].
        questions: row of each question's words in `PreparedData.questions` [Q].
        answers: number of each right answer, -1 if it is not in the answer vocabulary [Q].
        people: number of each person's answer [Q, P], -1 if it is not in the vocabulary or fewer people answered.
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
        """The split of the questions for which `kept` [Q] is true."""
        return Split(*(column[kept] for column in self._columns()))

    def save(self, folder: Path, name: str) -> None:
        """Writes the split to a file in the folder."""
        np.savez(folder / f"{name}.npz", **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Reads what `save` wrote.

        Raises:
            InputError: if it is damaged.
        """
        path = folder / f"{name}.npz"
        with explain_damage(path), np.load(path) as columns:
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
        """The arguments in order."""
        return self.images, self.image_rows, self.tokens, self.question_rows

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self.inputs))


class PreparedData:
    """A prepared data set, with its images memory-mapped from disk.

    All processes on a machine that open the same folder share one copy of the images in memory.

    Attributes:
        folder: folder of the prepared data set.
        manifest: content of its `manifest.json`.
        words: vocabulary of the questions.
        answers: answer vocabulary, most frequent answer first.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.words = Vocabulary(manifest["words"], manifest["tokenizer"])
        self.answers: list[str] = manifest["answers"]
        self._questions_of: dict[str, list[Question]] = {}

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens a folder written by `san_core.prepare`.

        Raises:
            InputError: if it is not one, or was written by another version.
        """
        folder = path_from_home(folder)
        path = folder / MANIFEST
        if not is_file(path):
            reason = f"has no {MANIFEST}" if is_folder(folder) else why_missing(folder)
            raise InputError(f"{folder} is not a prepared data set: it {reason}")
        try:
            manifest = json.loads(read_bytes(path))
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
        """Hash of everything that the prepared data depend on."""
        return str(self.manifest["fingerprint"])

    @property
    def encoder(self) -> str:
        """The image encoder's name."""
        return str(self.manifest["inputs"]["encoder"])

    @property
    def layer(self) -> str:
        """The image encoder's layer whose output is the regions."""
        return str(self.manifest["inputs"]["layer"])

    @property
    def weights(self) -> str | None:
        """Name of the image encoder's pretrained weights, with a hash of their file; None if it has none."""
        found = self.manifest["inputs"].get("weights")
        return None if found is None else str(found)

    @property
    def described_images(self) -> str:
        """How the images are seen, in words: the image encoder, its layer and weights, and the regions."""
        weights = f"weights {self.weights}" if self.weights else "no pretrained weights"
        return (
            f"{self.grid} x {self.grid} regions of {self.encoder}, layer {self.layer}, at {self.image_size} pixels, "
            f"{weights}"
        )

    @property
    def grid(self) -> int:
        """Regions along an edge of an image."""
        return int(self.manifest["inputs"]["grid"])

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics reported in the literature on the data set, the main one first."""
        return list(self.manifest["metrics"])

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return list(self.manifest["counts"])

    @property
    def fine_tune(self) -> bool:
        """Whether the images are kept as pixels, so that the image encoder is trained as well."""
        return bool(self.manifest["inputs"]["fine_tune"])

    @property
    def image_size(self) -> int:
        """Edge in pixels of the square that every image was resized to."""
        return int(self.manifest["inputs"]["image_size"])

    @property
    def grey_range(self) -> tuple[float, float] | None:
        """Values that became black and white in grey images of more than 8 bits; None if all their files state them."""
        found = self.manifest["inputs"].get("grey_range")
        return (float(found[0]), float(found[1])) if found else None

    @property
    def training_defaults(self) -> dict[str, float | int | str]:
        """`TrainingConfig` fields that suit the data set."""
        return dict(self.manifest["training_defaults"])

    def split(self, name: str) -> Split:
        """Returns a split by name.

        Raises:
            InputError: if the data set has no split of that name.
        """
        self._check(name)
        return Split.load(self.folder, name)

    def questions_of(self, name: str) -> list[Question]:
        """Returns the questions of a split with their texts and answers, in the order of `split`.

        Raises:
            InputError: if the data set has no split of that name.
        """
        if name not in self._questions_of:
            self._check(name)
            path = self.folder / f"{name}.parquet"
            with explain_damage(path):
                self._questions_of[name] = read_questions(path)
        return self._questions_of[name]

    def check(self) -> None:
        """Reads what training needs.

        Raises:
            InputError: if a file is damaged.
        """
        for name in self.splits:
            self.split(name)
        _ = self.images, self.questions, self.word_vectors

    def _check(self, name: str) -> None:
        if name not in self.splits:
            raise InputError(f"{self.folder} has no {name} split; accepted: {', '.join(self.splits)}")

    @cached_property
    def images(self) -> Tensor:
        """Region features [I, R, C] (bfloat16), or pixels [I, S, S, 3] (uint8) for fine-tuning."""
        path = self.folder / (PIXELS if self.fine_tune else FEATURES)
        with explain_damage(path):
            images = torch.from_numpy(_map(path))
            return images if self.fine_tune else images.view(torch.bfloat16)

    @cached_property
    def image_files(self) -> dict[str, Path]:
        """The file of each image key when the data were prepared; it may no longer exist."""
        path = self.folder / IMAGE_FILES
        with explain_damage(path):
            files = dict(json.loads(path.read_text(encoding="utf-8"))) if is_file(path) else {}
            return {key: Path(file) for key, file in files.items()}

    @cached_property
    def questions(self) -> Tensor:
        """Word numbers of the distinct questions [U, L], padded with 0 at the end."""
        with explain_damage(path := self.folder / QUESTIONS):
            return torch.from_numpy(np.load(path)).long()

    @cached_property
    def word_vectors(self) -> Tensor | None:
        """Pretrained word vectors [V, D], including padding and unknown; None if prepared without."""
        path = self.folder / WORD_VECTORS
        with explain_damage(path):
            return torch.from_numpy(np.load(path)) if is_file(path) else None

    def batch(self, split: Split, rows: NDArray[np.integer]) -> Batch:
        """Returns the questions at `rows` [B] of a split as a batch with each distinct image and question once."""
        images, image_rows = np.unique(split.images[rows], return_inverse=True)
        questions, question_rows = np.unique(split.questions[rows], return_inverse=True)
        return Batch(
            images=self.images[torch.from_numpy(images)],
            image_rows=torch.from_numpy(image_rows),
            tokens=self.questions[torch.from_numpy(questions)],
            question_rows=torch.from_numpy(question_rows),
        )


def _map(path: Path) -> NDArray[Any]:
    """Memory-maps a .npy file: pages are read when they are used, and changes stay in this process.

    NumPy's mmap_mode="c" does the same, but reserves memory for a copy of the whole file. Linux refuses that for a
    file larger than memory.
    """
    found = np.lib.format.open_memmap(path, mode="r")
    flags, protection = mmap.MAP_PRIVATE | _MAP_NORESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=flags, prot=protection)
    return np.frombuffer(mapped, found.dtype, offset=found.offset).reshape(found.shape)
