"""Questions as vectors."""

import torch
from torch import Tensor, nn

from san_core.text import PADDING


class LSTMQuestionEncoder(nn.Module):
    """Word embedding and LSTM; the question's vector is the state after its last word (paper, section 3.2).

    The weights are those of an `nn.LSTM`, and so is the result. It is worked out in another order:
    a batch of questions has few distinct words, so each distinct word's part of the gates is
    computed once instead of once per question and place.

    Shapes: B questions, L words, E embedding, H hidden, W distinct words of the batch.
    """

    def __init__(self, *, vocabulary_size: int, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PADDING)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Word numbers [B, L], padded behind with 0, to question vectors [B, H]."""
        lengths = (tokens != PADDING).sum(dim=1).clamp(min=1)
        words, places = torch.unique(tokens, return_inverse=True)
        input_weight, state_weight, input_bias, state_bias = self.lstm.all_weights[0]
        word_gates = nn.functional.linear(self.embedding(words), input_weight, input_bias + state_bias)
        hidden = cell = word_gates.new_zeros(len(tokens), self.lstm.hidden_size)
        states = []
        for place in range(int(lengths.max())):
            gates = word_gates.index_select(0, places[:, place]) + nn.functional.linear(hidden, state_weight)
            write, forget, candidate, output = gates.chunk(4, dim=1)
            cell = forget.sigmoid() * cell + write.sigmoid() * candidate.tanh()
            hidden = output.sigmoid() * cell.tanh()
            states.append(hidden)
        # The LSTM reads left to right: the state after the last word does not depend on the padding behind it.
        return torch.stack(states)[lengths - 1, torch.arange(len(tokens), device=tokens.device)]
