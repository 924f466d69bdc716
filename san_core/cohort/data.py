"""A prepared data set on the device, in the form that a cohort's step reads: questions, features and answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.cohort.layout import round_up
from san_core.data.prepared import Split
from san_core.data.vocabulary import PADDING

FREE_SHARE = 0.5
"""Features are kept on the device if they need at most this share of its free memory."""


@dataclass(frozen=True)
class Questions:
    """The U distinct questions of a data set, of at most L words, on a device.

    Attributes:
        words: word numbers [U, L]. For the LSTM each row is padded at the start; for the CNN at the end, where there
            are two more words of padding.
        is_word: whether each of them is a word of the question [U, L]; an empty question counts as one word.
        lengths: number of words of each question, at least 1 [U].
    """

    words: Tensor
    is_word: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, tokens: Tensor, encoder: str, device: torch.device) -> "Questions":
        """Makes them from word numbers [U, L] whose rows are padded at the end with 0."""
        lengths = (tokens != PADDING).sum(dim=1).clamp(min=1)
        longest = int(lengths.max())
        places = torch.arange(longest)
        if encoder == "cnn":
            words = torch.nn.functional.pad(tokens[:, :longest], (0, 2), value=PADDING)
            is_word = torch.arange(longest + 2) < lengths.unsqueeze(1)
        else:
            shift = longest - lengths.unsqueeze(1)
            is_word = places >= shift
            words = tokens[:, :longest].gather(1, (places - shift).clamp(min=0)).where(is_word, PADDING)
        return cls(*(each.to(device) for each in (words, is_word, lengths)))


def padded_width(channels: int) -> int:
    """Number of channels including the one for the bias, rounded up to a multiple of 8."""
    return round_up(channels + 1)


def padded_channels(features: Tensor) -> Tensor:
    """Features [..., C] with one more channel for the bias, which is 1, and channels of 0 up to a multiple of 8."""
    channels = features.shape[-1]
    padded = features.new_zeros(*features.shape[:-1], padded_width(channels))
    padded[..., :channels] = features
    padded[..., channels] = 1
    return padded


class ResidentFeatures:
    """The features of all N images, in the memory of the device.

    Args:
        store: features on the device, in the form of `padded_channels` [N, R, C].
    """

    def __init__(self, store: Tensor) -> None:
        self._store = store

    @classmethod
    def load(cls, images: Tensor, device: torch.device, dtype: torch.dtype) -> "ResidentFeatures":
        """Copies region features [N, R, C] from the host to a device, in the type of the matrix products."""
        channels = images.shape[2]
        store = torch.zeros(*images.shape[:2], padded_width(channels), dtype=dtype, device=device)
        for start in range(0, len(images), 1024):
            part = slice(start, start + 1024)
            store[part, :, :channels] = images[part].to(device)
        store[..., channels] = 1
        return cls(store)

    def of(self, images: Tensor) -> Tensor:
        """Features [I, R, C] of a batch's images [I]."""
        return self._store.index_select(0, images)

    def feed(self, batches: NDArray[np.int64]) -> Iterator[None]:
        """Yields once for each batch [T, I]; the features are on the device already."""
        yield from repeat(None, len(batches))


class PrefetchedFeatures:
    """Features that stay on the host; those of a batch are copied to the device while the step before runs.

    Args:
        images: region features [N, R, C] on the host.
        device: a GPU.
        dtype: type of the matrix products.
        count: number of images in a batch, I.
    """

    def __init__(self, images: Tensor, device: torch.device, dtype: torch.dtype, count: int) -> None:
        self._images, self._device = images, device
        shape = (count, *images.shape[1:])
        self._host = [torch.empty(shape, dtype=images.dtype, pin_memory=True) for _ in range(2)]
        self._ahead = [torch.empty(shape, dtype=images.dtype, device=device) for _ in range(2)]
        self._now = padded_channels(torch.zeros(shape, dtype=dtype, device=device))
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._copied = [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]
        self._used = [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]

    def of(self, images: Tensor) -> Tensor:
        """Features [I, R, C] of the batch that `feed` copied last."""
        del images
        return self._now

    def feed(self, batches: NDArray[np.int64]) -> Iterator[None]:
        """Yields once for each batch, when the features of its images [T, I] are on the device; then run the step."""
        if len(batches):
            self._fetch(batches[0], 0)
        for number in range(len(batches)):
            if number + 1 < len(batches):
                self._fetch(batches[number + 1], (number + 1) % 2)
            place = number % 2
            torch.cuda.current_stream(self._device).wait_event(self._copied[place])
            self._now[..., : self._images.shape[2]] = self._ahead[place]
            self._used[place].record()
            yield

    def _fetch(self, images: NDArray[np.int64], place: int) -> None:
        self._copied[place].synchronize()  # the page-locked buffer may still be copied for an earlier batch
        torch.index_select(self._images, 0, torch.from_numpy(images), out=self._host[place])
        with torch.cuda.stream(self._stream):
            self._used[place].wait()
            self._ahead[place].copy_(self._host[place], non_blocking=True)
            self._copied[place].record(self._stream)


def fits(images: Tensor, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the features may be kept on the device: they need at most `FREE_SHARE` of what this process may use."""
    if device.type != "cuda":
        return True
    free, total = torch.cuda.mem_get_info(device)
    allowed = torch.cuda.get_per_process_memory_fraction(device) * total
    return images.numel() * dtype.itemsize <= FREE_SHARE * min(free, allowed)


def column(split: Split, name: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values of a column of a split for the slots of batches; 0 for an empty slot.

    Args:
        split: the questions.
        name: name of the column: `questions`, `answers` or `people`.
        rows: row number of each slot's question [T, I, Q]; -1 for an empty slot.
    """
    values: NDArray[np.int64] = getattr(split, name)[rows.clip(min=0)].astype(np.int64)
    values[rows < 0] = 0
    return values
