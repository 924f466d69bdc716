"""Stacked attention (paper, section 3.3): each hop attends to the regions of the image with a query refined so far.

Shapes: I images, B questions, R regions, H hidden, K attention, N hops.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from san_core.models.dropout import Dropout
from san_core.models.hops import HopOptions, apply_hops


def reference_hops(options: HopOptions, images: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Applies all hops by the plain equations of the paper. Training uses `apply_hops`, which computes the same faster.

    Args:
        options: of the hops.
        images: regions v [I, R, H].
        query: question vectors, the first u [B, H].
        weights: of all hops: w_image (W_I) [N K, H], w_query (W_Q) [N, K, H] and its b_query [N, K], w_score (W_P)
            [N, K] and its b_score [N]. Where there are dropout masks, w_score includes the scale of dropout.

    Returns:
        The last query [B, H], and the attention p of each hop [B, R].
    """
    w_image, w_query, b_query, w_score, b_score = weights
    v = images if options.image_rows is None else images[options.image_rows]
    u, attention = query, []
    for hop, (w_image_of_hop, mask) in enumerate(zip(w_image.chunk(len(w_score)), options.masks, strict=True)):
        h = torch.tanh(v @ w_image_of_hop.T + (u @ w_query[hop].T + b_query[hop]).unsqueeze(1))  # (15)
        h = h if mask is None else h * mask
        scores = h @ w_score[hop] + b_score[hop]
        p = torch.softmax(scores.tanh() if options.bounded else scores, dim=1)  # (16)
        context = (p.unsqueeze(2) * v).sum(dim=1)  # (17)
        u = context + u  # (18)
        attention.append(p)
    return u, attention


class AttentionHop(nn.Module):
    """One attention layer over the regions of an image.

    Args:
        hidden_size: H.
        attention_size: K.
        dropout: share of h zeroed, in [0, 1).
        bounded: whether the scores of the regions go through a tanh, as in the authors' code. No region then gets
            more than e^2 = 7.4 times the attention of another.
    """

    def __init__(self, *, hidden_size: int, attention_size: int, dropout: float, bounded: bool = False) -> None:
        super().__init__()
        self.bounded = bounded
        self.region = nn.Linear(hidden_size, attention_size, bias=False)  # w_image
        self.query = nn.Linear(hidden_size, attention_size)  # w_query, b_query
        self.score = nn.Linear(attention_size, 1)  # w_score, b_score
        self.dropout = Dropout(dropout)

    def forward(self, regions: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the next query [B, H] and the attention [B, R], given regions v [B, R, H] and a query u [B, H].

        h = tanh(W_I v (+) (W_Q u + b)); p = softmax(w h + b) over regions; next u = sum_i p_i v_i + u
        (paper, equations (15) to (18)). Bounded: p = softmax(tanh(w h + b)).
        """
        query, attention = _apply([self], regions, query)
        return query, attention[0]


class StackedAttention(nn.Module):
    """Attention hops one after the other, each with its own weights.

    Args:
        hops: N, how many.
        attention: `paper` or `bounded`, see `TrainingConfig`.
        hidden_size, attention_size, dropout: see `AttentionHop`.
    """

    def __init__(
        self, *, hops: int, hidden_size: int, attention_size: int, dropout: float, attention: str = "paper"
    ) -> None:
        super().__init__()
        self.hops = nn.ModuleList(
            AttentionHop(
                hidden_size=hidden_size,
                attention_size=attention_size,
                dropout=dropout,
                bounded=attention == "bounded",
            )
            for _ in range(hops)
        )

    def forward(self, images: Tensor, query: Tensor, image_rows: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Returns the last query [B, H] and the attention of each hop [B, R].

        Args:
            images: regions of the images [I, R, H].
            query: question vectors [B, H].
            image_rows: which image each question is about [B]; None if question b is about image b.
        """
        return _apply([hop for hop in self.hops if isinstance(hop, AttentionHop)], images, query, image_rows)


def _apply(
    hops: Sequence[AttentionHop], images: Tensor, query: Tensor, image_rows: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Draws the dropout masks, stacks the weights of the hops and applies them."""
    first = hops[0]
    shape = len(query), images.shape[1], len(first.score.weight[0])
    masks = [hop.dropout.draw_mask(images.new_empty(shape)) if hop.dropout.active else None for hop in hops]
    scale = first.dropout.scale if first.dropout.active else 1.0  # w (scale h) = (scale w) h, and w is smaller than h
    weights = (
        torch.cat([hop.region.weight for hop in hops]),
        torch.stack([hop.query.weight for hop in hops]),
        torch.stack([hop.query.bias for hop in hops]),
        torch.cat([hop.score.weight for hop in hops]) * scale,
        torch.cat([hop.score.bias for hop in hops]),
    )
    operands = [operand.to(images.dtype) for operand in (query, *weights)]
    return apply_hops(HopOptions(image_rows, masks, first.bounded), images, *operands)
