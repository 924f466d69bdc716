"""Stacked attention (paper, section 3.3): each hop attends to the regions of the image, and refines the query.

    (15)  h = tanh(W_I v (+) (W_Q u + b_A))      (+) adds the second term to each region
    (16)  p = softmax(W_P h + b_P)               over the regions
    (17)  context = sum_i p_i v_i
    (18)  next u = context + u                   the first u is the question vector

Names of the paper, of this code, and of the parameters of an `AttentionHop`:

    v     regions     [I, R, H]
    u     query       [B, H]
    h     h           [B, R, K], after dropout
    p     attention   [B, R]
    W_I   w_image     region.weight
    W_Q   w_query     query.weight
    b_A   b_query     query.bias
    W_P   w_score     score.weight
    b_P   b_score     score.bias

Shapes: I images, B questions, R regions, H hidden, K attention, N hops.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from san_core.models.dropout import Dropout
from san_core.models.hops import HopOptions, HopWeights, apply_hops

_FORMS = ("paper", "bounded")


def reference_hops(
    options: HopOptions, regions: Tensor, query: Tensor, weights: HopWeights
) -> tuple[Tensor, list[Tensor]]:
    """Applies all hops by the plain equations of the paper. Training uses `apply_hops`, which computes the same faster.

    Args:
        options: options of the hops.
        regions: regions of the images [I, R, H].
        query: question vectors, the first query [B, H].
        weights: weights of all hops.

    Returns:
        The last query [B, H], and the attention of each hop [B, R].
    """
    regions = regions if options.image_rows is None else regions[options.image_rows]
    w_image_by_hop = weights.w_image.chunk(len(weights.w_score))
    all_attention = []
    for hop, (w_image, mask) in enumerate(zip(w_image_by_hop, options.masks, strict=True)):
        projected_query = query @ weights.w_query[hop].T + weights.b_query[hop]
        h = torch.tanh(regions @ w_image.T + projected_query.unsqueeze(1))  # (15)
        h = h if mask is None else h * mask
        scores = h @ weights.w_score[hop] + weights.b_score[hop]
        attention = torch.softmax(scores.tanh() if options.bounded else scores, dim=1)  # (16)
        context = (attention.unsqueeze(2) * regions).sum(dim=1)  # (17)
        query = context + query  # (18)
        all_attention.append(attention)
    return query, all_attention


class AttentionHop(nn.Module):
    """One attention layer over the regions of an image.

    Args:
        hidden_size: H.
        attention_size: K.
        dropout: share of h zeroed, in [0, 1).
        bounded: whether the scores of the regions go through a tanh, p = softmax(tanh(W_P h + b_P)), as in the
            authors' code. No region then gets more than e^2 = 7.4 times the attention of another.
    """

    def __init__(self, *, hidden_size: int, attention_size: int, dropout: float, bounded: bool = False) -> None:
        super().__init__()
        self.bounded = bounded
        self.region = nn.Linear(hidden_size, attention_size, bias=False)  # W_I
        self.query = nn.Linear(hidden_size, attention_size)  # W_Q, b_A
        self.score = nn.Linear(attention_size, 1)  # W_P, b_P
        self.dropout = Dropout(dropout)

    def forward(self, regions: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the next query [B, H] and the attention [B, R], given regions [B, R, H] and a query [B, H].

        Raises:
            ValueError: if the shapes do not fit.
        """
        query, (attention,) = _run_hops([self], regions, query)
        return query, attention


class StackedAttention(nn.Module):
    """Attention hops one after the other, each with its own weights.

    Args:
        num_hops: N, >= 1.
        attention: `paper` or `bounded`, see `AttentionHop`.
        hidden_size, attention_size, dropout: see `AttentionHop`.

    Raises:
        ValueError: if `attention` is neither `paper` nor `bounded`.
    """

    def __init__(
        self, *, num_hops: int, hidden_size: int, attention_size: int, dropout: float, attention: str = "paper"
    ) -> None:
        if attention not in _FORMS:
            raise ValueError(f"attention must be {' or '.join(_FORMS)}, but got {attention}")
        super().__init__()
        self.hops = nn.ModuleList(
            AttentionHop(
                hidden_size=hidden_size,
                attention_size=attention_size,
                dropout=dropout,
                bounded=attention == "bounded",
            )
            for _ in range(num_hops)
        )

    def forward(self, regions: Tensor, query: Tensor, image_rows: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Returns the last query [B, H] and the attention of each hop [B, R].

        Args:
            regions: regions of the images [I, R, H].
            query: question vectors [B, H].
            image_rows: index of the image that each question is about [B]; None if question b is about image b.

        Raises:
            ValueError: if the shapes do not fit.
        """
        return _run_hops(cast("Sequence[AttentionHop]", self.hops), regions, query, image_rows)


def _run_hops(
    hops: Sequence[AttentionHop], regions: Tensor, query: Tensor, image_rows: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Checks the shapes, draws the dropout masks, stacks the weights of the hops and applies them.

    The sizes, the share of dropout and `bounded` must be the same for all hops; they are read from the first.
    """
    first = hops[0]
    _check_shapes(first.region.in_features, regions, query, image_rows)
    h_shape = len(query), regions.shape[1], first.region.out_features
    masks = [hop.dropout.draw_mask(regions.new_empty(h_shape)) if hop.dropout.active else None for hop in hops]
    # Dropout multiplies h by its scale. W_P is multiplied instead: the result is the same, and W_P is smaller than h.
    scale = first.dropout.scale if first.dropout.active else 1.0
    weights = HopWeights(*(weight.to(regions.dtype) for weight in stack_weights(hops, scale)))
    return apply_hops(HopOptions(image_rows, masks, first.bounded), regions, query.to(regions.dtype), weights)


def stack_weights(hops: Sequence[AttentionHop], scale: float = 1.0) -> HopWeights:
    """The weights of all hops.

    Args:
        hops: the hops.
        scale: of dropout, see `HopWeights`.
    """
    return HopWeights(
        w_image=torch.cat([hop.region.weight for hop in hops]),
        w_query=torch.stack([hop.query.weight for hop in hops]),
        b_query=torch.stack([hop.query.bias for hop in hops]),
        w_score=torch.cat([hop.score.weight for hop in hops]) * scale,
        b_score=torch.cat([hop.score.bias for hop in hops]),
    )


def _check_shapes(hidden_size: int, regions: Tensor, query: Tensor, image_rows: Tensor | None) -> None:
    sizes = list(regions.shape), list(query.shape)
    if [len(size) for size in sizes] != [3, 2] or any(size[-1] != hidden_size for size in sizes):
        raise ValueError(
            f"regions must be [I, R, {hidden_size}] and query [B, {hidden_size}], but got {sizes[0]} and {sizes[1]}"
        )
    found = len(regions if image_rows is None else image_rows)
    if found != len(query):
        name = "regions" if image_rows is None else "image_rows"
        raise ValueError(f"{name} must have a row for each of the {len(query)} queries, but got {found}")
