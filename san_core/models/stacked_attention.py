"""Stacked attention: where to look, refined hop by hop (paper, section 3.3)."""

import torch
from torch import Tensor, nn

from san_core.models.dropout import Dropout


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
        h = self.dropout(torch.tanh(self.region(regions) + self.query(query).unsqueeze(1)))
        scores = self.score(h).squeeze(2)
        attention = (scores.tanh() if self.bounded else scores).softmax(dim=1)
        return torch.bmm(attention.unsqueeze(1), regions).squeeze(1) + query, attention


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

    def forward(self, regions: Tensor, query: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Regions [B, R, H] and question [B, H] to the last query [B, H] and each hop's attention [B, R]."""
        maps = []
        for hop in self.hops:
            query, attention = hop(regions, query)
            maps.append(attention)
        return query, maps
