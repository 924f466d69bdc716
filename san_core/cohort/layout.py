"""Where each weight of a SAN is stored in a row of a cohort's flat buffers.

A cohort keeps all weights of its W members in one buffer [W, P]; gradients, square averages and momentum buffers are
buffers of the same shape. A block is the part of a row that one weight, or the same weight of all hops, takes. Sizes
that differ between members are padded with zeros to the largest that a member may have: a padded unit is 0, and so is
its gradient.

Axes: V vocabulary, D pretrained word vector, E embedding, H hidden (h the same, as the input of the LSTM's recurrent
weight), K attention, N hops, C channels and one more for the bias, A answers, G the four gates of an LSTM, U B T the
CNN's filters over one, two and three words.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from san_core.config import TrainingConfig
from san_core.models.question_encoder import filter_sizes

MULTIPLE = 8
"""Sizes are padded to multiples of this: bfloat16 matrix products are fast if rows are multiples of 16 bytes."""

ROW_MULTIPLE = 64
"""Rows are padded to a multiple of this, so that all begin alike to a processor that reads 64 bytes at a time."""

MAP = "map_embedding"
"""Name of the block that projects pretrained word vectors."""

State = Mapping[str, Tensor]
"""Tensors by the names of `SAN.state_dict`."""


@dataclass(frozen=True)
class Block:
    """One weight in a row, or the same weight of all hops.

    Attributes:
        name: name of the block.
        axes: a letter for each axis.
        read: function from a state to the weight [axes], not padded.
        write: function from the weight [axes] to tensors of a state, by name; the inverse of `read`.
    """

    name: str
    axes: str
    read: Callable[[State], Tensor]
    write: Callable[[Tensor], dict[str, Tensor]]


def _same(name: str, axes: str, weight: str) -> Block:
    """A block for one weight of the network, in its own shape."""
    return Block(name, axes, lambda state: state[weight], lambda values: {weight: values})


def _gates(name: str, axes: str, weight: str) -> Block:
    """A block for a weight of an LSTM, whose first axis is split into the four gates and the hidden size."""
    return Block(
        name,
        axes,
        lambda state: state[weight].view(4, -1, *state[weight].shape[1:]),
        lambda values: {weight: values.flatten(0, 1)},
    )


def _filters(name: str, axes: str, weight: str) -> Block:
    """A block for filters [F, E, n] of the CNN as [n, F, E]: first the weights for the first of the n words."""
    return Block(
        name,
        axes,
        lambda state: state[weight].permute(2, 0, 1),
        lambda values: {weight: values.permute(1, 2, 0)},
    )


def _of_hops(name: str, axes: str, weight: str, hops: int) -> Block:
    """A block for one weight of every hop; `weight` is its name, with {} for the number of the hop."""
    names = [weight.format(hop) for hop in range(hops)]
    return Block(
        name,
        axes,
        lambda state: torch.stack([state[each].view(_hop_shape(state[each], axes)) for each in names]),
        lambda values: {each: _hop_value(value, each) for each, value in zip(names, values, strict=True)},
    )


def _hop_shape(weight: Tensor, axes: str) -> tuple[int, ...]:
    """The shape of one hop's weight in its block, whose first axis counts the hops."""
    return tuple(weight.shape[weight.dim() - len(axes) + 1 :])


def _hop_value(value: Tensor, name: str) -> Tensor:
    """A hop's weight in the shape that `AttentionHop` has it in: W_P is a row [1, K], and b_P has one element."""
    if name.endswith("score.weight"):
        return value.view(1, -1)
    return value.view(1) if name.endswith("score.bias") else value


def _image() -> Block:
    """A block for the projection of the features. Its bias is the weight of one more channel, which is always 1."""

    def read(state: State) -> Tensor:
        return torch.cat([state["project.weight"], state["project.bias"].unsqueeze(1)], dim=1)

    return Block(
        "image", "HC", read, lambda values: {"project.weight": values[:, :-1], "project.bias": values[:, -1].clone()}
    )


def _blocks(config: TrainingConfig, *, maps_embedding: bool) -> Iterator[Block]:
    """The blocks of a network. The word embedding is the first, since it has no weight decay."""
    question = "question_encoder"
    yield _same("embedding", "VD" if maps_embedding else "VE", f"{question}.embedding.weight")
    if maps_embedding:
        yield _same(MAP, "ED", f"{question}.embedding.project.weight")
    if config.question_encoder == "lstm":
        yield _gates("lstm_input", "GHE", f"{question}.lstm.weight_ih_l0")
        yield _gates("lstm_hidden", "GHh", f"{question}.lstm.weight_hh_l0")
        yield _gates("lstm_input_bias", "GH", f"{question}.lstm.bias_ih_l0")
        yield _gates("lstm_hidden_bias", "GH", f"{question}.lstm.bias_hh_l0")
    else:
        yield _filters("unigram", "1UE", f"{question}.unigram.weight")
        yield _filters("bigram", "2BE", f"{question}.bigram.weight")
        yield _filters("trigram", "3TE", f"{question}.trigram.weight")
        yield _same("cnn_bias", "H", f"{question}.bias")
    yield _image()
    hop = "attention.hops.{}."
    yield _of_hops("hop_image", "NKH", hop + "region.weight", config.hops)
    yield _of_hops("hop_query", "NKH", hop + "query.weight", config.hops)
    yield _of_hops("hop_query_bias", "NK", hop + "query.bias", config.hops)
    yield _of_hops("hop_score", "NK", hop + "score.weight", config.hops)
    yield _of_hops("hop_score_bias", "N", hop + "score.bias", config.hops)
    yield _same("classify", "AH", "classify.weight")
    yield _same("classify_bias", "A", "classify.bias")


@dataclass(frozen=True)
class Sizes:
    """Sizes that all members of a cohort share.

    Attributes:
        vocabulary: size of the word vocabulary, including padding and the unknown word.
        channels: number of channels of a region's features.
        answers: size of the answer vocabulary.
        vector: length of a pretrained word vector; None if the word embedding starts at random.
    """

    vocabulary: int
    channels: int
    answers: int
    vector: int | None = None


class Layout:
    """Blocks, shapes and places of a row; it is the same for any member and any width.

    Args:
        largest: settings that all members have alike, and the largest sizes that a member may have.
        sizes: shared by the members.

    Attributes:
        largest, sizes: as given.
        blocks: in the order they lie.
        shapes: padded shape of each block in a row, by its name.
        row_length: length of a row, P.
    """

    def __init__(self, largest: TrainingConfig, sizes: Sizes) -> None:
        self.largest, self.sizes = largest, sizes
        self._longest = {axis: round_up(size) for axis, size in _own_sizes(largest).items()}
        self.blocks = list(_blocks(largest, maps_embedding=sizes.vector is not None))
        self.shapes = {block.name: tuple(self._padded(axis) for axis in block.axes) for block in self.blocks}
        self._starts: dict[str, int] = {}
        self.row_length = 0
        for name, shape in self.shapes.items():
            self._starts[name] = self.row_length
            self.row_length += round_up(math.prod(shape))
        self.row_length = round_up(self.row_length, ROW_MULTIPLE)

    @property
    def decayed_from(self) -> int:
        """Index in a row at which the weights with weight decay begin; only the word embedding is before it."""
        return self._starts[self.blocks[1].name]

    def places(self, config: TrainingConfig) -> dict[str, Tensor]:
        """Where a member's own numbers lie along each axis that may be padded."""
        return _places(config, self.sizes, self._longest)

    def has_projection(self, config: TrainingConfig) -> bool:
        """Whether a member projects pretrained word vectors; it does not if its embedding has their size."""
        return self.sizes.vector not in {None, config.embedding_size}

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The blocks of a flat buffer [W, P] as views [W, ...], by name."""
        return {
            name: flat[:, start : start + math.prod(self.shapes[name])].view(len(flat), *self.shapes[name])
            for name, start in self._starts.items()
        }

    def tensors(self, flat: Tensor) -> Iterator[Tensor]:
        """Views [W, ...] of a flat buffer [W, P], one for each parameter of `SAN`.

        Blocks that store several parameters are split: those of all hops, and the projection with its bias.
        """
        for name, view in self.views(flat).items():
            if name.startswith("hop_"):
                yield from view.unbind(1)
            elif name == "image":
                yield view[:, :, : self.sizes.channels]
                yield view[:, :, self.sizes.channels]
            else:
                yield view

    def pack(self, row: Tensor, config: TrainingConfig, state: State) -> None:
        """Writes a network's weights, or what its optimizer keeps of each, into a row [P]; the padding becomes 0."""
        row.zero_()
        for block, place in self._of(row, config):
            place.put(block.read(state))

    def unpack(self, row: Tensor, config: TrainingConfig) -> dict[str, Tensor]:
        """The opposite of `pack`."""
        found: dict[str, Tensor] = {}
        for block, place in self._of(row, config):
            found |= {name: value.contiguous() for name, value in block.write(place.take()).items()}
        return found

    def _of(self, row: Tensor, config: TrainingConfig) -> Iterator[tuple[Block, "_MemberBlock"]]:
        places = self.places(config)
        for block, view in zip(self.blocks, self.views(row.unsqueeze(0)).values(), strict=True):
            if block.name != MAP or self.has_projection(config):
                yield block, _MemberBlock(view[0], [places.get(axis) for axis in block.axes])

    def _padded(self, axis: str) -> int:
        """The size of an axis in a row."""
        longest = self._longest
        if axis in longest:
            return longest[axis]
        if axis in "Hh":
            cnn = self.largest.question_encoder == "cnn"
            return sum(longest[each] for each in "UBT") if cnn else longest["L"]
        sizes = self.sizes
        shared = {"V": sizes.vocabulary, "D": sizes.vector or 0, "N": self.largest.hops, "G": 4}
        if axis in shared:
            return shared[axis]
        padded = {"C": sizes.channels + 1, "A": sizes.answers}
        return round_up(padded[axis]) if axis in padded else int(axis)


def round_up(number: int, multiple: int = MULTIPLE) -> int:
    """The next multiple."""
    return -(-number // multiple) * multiple


def _own_sizes(config: TrainingConfig) -> dict[str, int]:
    """A member's sizes by axis; L is the hidden size of an LSTM."""
    sizes = {"E": config.embedding_size, "K": config.attention_size}
    if config.question_encoder == "lstm":
        return {**sizes, "L": config.hidden_size}
    return {**sizes, **dict(zip("UBT", filter_sizes(config.hidden_size), strict=True))}


def _places(config: TrainingConfig, sizes: Sizes, longest: Mapping[str, int]) -> dict[str, Tensor]:
    """Indices of a member's own values along each axis that may be padded, by axis."""
    own = _own_sizes(config)
    places = {axis: torch.arange(size) for axis, size in own.items()}
    if config.question_encoder == "lstm":
        hidden = places.pop("L")
    else:
        # The question vector is made of the responses to one, two and three words; each of the three parts is padded.
        starts = {"U": 0, "B": longest["U"], "T": longest["U"] + longest["B"]}
        hidden = torch.cat([places[axis] + start for axis, start in starts.items()])
    return {
        **places,
        "H": hidden,
        "h": hidden,
        "C": torch.arange(sizes.channels + 1),
        "A": torch.arange(sizes.answers),
    }


@dataclass(frozen=True)
class _MemberBlock:
    """A member's own values in a padded block."""

    view: Tensor
    indices: list[Tensor | None]

    def _index(self) -> tuple[Tensor, ...]:
        """Indices that broadcast against each other, one for each axis."""
        axes = len(self.indices)
        return tuple(
            (torch.arange(self.view.shape[axis]) if index is None else index)
            .to(self.view.device)
            .view([-1 if other == axis else 1 for other in range(axes)])
            for axis, index in enumerate(self.indices)
        )

    def put(self, values: Tensor) -> None:
        self.view[self._index()] = values.to(self.view)

    def take(self) -> Tensor:
        return self.view[self._index()]
