"""Stacked attention: where to look, refined hop by hop (paper, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from san_core.models.dropout import Dropout
from san_core.models.hops import Plan, look


class AttentionHop(nn.Module):
    """One look at the image with the current query in mind.

    Shapes: B batch, R regions, H hidden, K attention.

    Args:
        hidden_size: H.
        attention_size: K.
        dropout: share of h zeroed, in [0, 1).
        bounded: whether the scores of the regions pass a tanh, as in the authors' code: no region then
            gets more than e^2 = 7.4 times the attention of another.
    """

    def __init__(self, *, hidden_size: int, attention_size: int, dropout: float, bounded: bool = False) -> None:
        super().__init__()
        self.bounded = bounded
        self.region = nn.Linear(hidden_size, attention_size, bias=False)  # W_I
        self.query = nn.Linear(hidden_size, attention_size)  # W_Q, b
        self.score = nn.Linear(attention_size, 1)  # w, b
        self.dropout = Dropout(dropout)

    def forward(self, regions: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Regions v [B, R, H] and query u [B, H] to the next query [B, H] and the attention [B, R].

        h = tanh(W_I v (+) (W_Q u + b)); p = softmax(w h + b) over regions; next u = sum_i p_i v_i + u
        (paper, section 3.3). Bounded: p = softmax(tanh(w h + b)).
        """
        query, maps = _attend(regions, query, [self])
        return query, maps[0]


class StackedAttention(nn.Module):
    """Hops one after the other, each with weights of its own.

    Args:
        hops: how many.
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

    def forward(self, images: Tensor, query: Tensor, rows: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Regions and question [B, H] to the last query [B, H] and each hop's attention [B, R].

        Args:
            images: regions of the images [I, R, H].
            query: the question.
            rows: which image each question is about [B]; without, they are about one each, in order.
        """
        return _attend(images, query, [hop for hop in self.hops if isinstance(hop, AttentionHop)], rows)


def _attend(
    images: Tensor, query: Tensor, hops: Sequence[AttentionHop], rows: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Hops one after the other: the last query and each hop's attention. Arguments as for `StackedAttention`."""
    first = hops[0]
    shape = len(query), images.shape[1], len(first.score.weight[0])
    kept = [hop.dropout.draw(images.new_empty(shape)) if hop.dropout.active else None for hop in hops]
    scale = first.dropout.scale if first.dropout.active else 1.0  # dropout's, moved from h to the smaller w
    weights = (
        torch.cat([hop.region.weight for hop in hops]),
        torch.stack([hop.query.weight for hop in hops]),
        torch.stack([hop.query.bias for hop in hops]),
        torch.cat([hop.score.weight for hop in hops]) * scale,
        torch.cat([hop.score.bias for hop in hops]),
    )
    operands = [operand.to(images.dtype) for operand in (query, *weights)]
    return look(Plan(rows, kept, first.bounded), images, *operands)
