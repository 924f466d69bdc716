"""A plain PyTorch training step, with which the real one is compared."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.shapes import Shape


class _Hop(nn.Module):
    def __init__(self, hidden_size: int, attention_size: int, dropout: float) -> None:
        super().__init__()
        self.region = nn.Linear(hidden_size, attention_size, bias=False)
        self.query = nn.Linear(hidden_size, attention_size)
        self.score = nn.Linear(attention_size, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, regions: Tensor, query: Tensor) -> Tensor:
        h = self.dropout(torch.tanh(self.region(regions) + self.query(query).unsqueeze(1)))
        attention = self.score(h).softmax(dim=1)
        context: Tensor = (attention * regions).sum(dim=1)
        return context + query


class PlainSAN(nn.Module):
    """A SAN of torch's own layers in float32; each row has its own copy of image and question."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        config = shape.config
        self.embedding = nn.Embedding(shape.vocabulary_size, config.embedding_size, padding_idx=0)
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, batch_first=True)
        self.feature_dropout = nn.Dropout(config.feature_dropout)
        self.project = nn.Linear(shape.channels, config.hidden_size)
        self.hops = nn.ModuleList(
            _Hop(config.hidden_size, config.attention_size, config.dropout) for _ in range(config.hops)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(config.hidden_size, shape.answers)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Features [B, R, C] and word numbers [B, L] to logits [B, A]."""
        lengths = (tokens != 0).sum(dim=1).cpu()
        words = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        query = self.lstm(words)[1][0][0]
        channels = self.feature_dropout(torch.ones_like(self.project.weight[0]))  # one mask for the batch
        regions = torch.tanh(nn.functional.linear(features, self.project.weight * channels, self.project.bias))
        for hop in self.hops:
            query = hop(regions, query)
        logits: Tensor = self.classify(self.dropout(query))
        return logits


class PlainStep:
    """A training step of `PlainSAN` with torch's RMSprop."""

    def __init__(self, shape: Shape) -> None:
        self.model = PlainSAN(shape)
        config = shape.config
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(),
            lr=config.learning_rate,
            alpha=config.alpha,
            eps=config.eps,
            momentum=config.momentum,
        )

    def __call__(self, features: Tensor, tokens: Tensor, targets: Tensor) -> None:
        """One step on features [B, R, C] (float32), word numbers [B, L] and answers [B]."""
        loss = nn.functional.cross_entropy(self.model(features, tokens), targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
