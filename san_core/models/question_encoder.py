"""Questions as vectors (paper, section 3.2).

A batch of questions has few distinct words, so both encoders work out what follows from a word alone
once for each distinct word, instead of once per question and place. The LSTM likewise goes through each distinct
beginning of a question once.

Shapes: U questions, L words, V vocabulary, D pretrained word vector, E embedding, H hidden, W distinct
words of the batch.
"""

from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from san_core.data.vocabulary import PADDING
from san_core.models.lstm import states
from san_core.models.prefix_tree import SIZES, PrefixTree


class WordEmbedding(nn.Module):
    """A vector for each word, random or pretrained, trained with the rest.

    Args:
        vocabulary_size: V, word numbers, padding and unknown included.
        embedding_size: E.
        vectors: pretrained word vectors [V, D] to start from, copied; where D is not E, a linear map
            without bias takes them to E. To load trained weights, zeros of that shape do.

    Raises:
        ValueError: if there is not one vector per word number.
    """

    def __init__(self, *, vocabulary_size: int, embedding_size: int, vectors: Tensor | None = None) -> None:
        super().__init__()
        if vectors is not None and len(vectors) != vocabulary_size:
            raise ValueError(f"{vocabulary_size} word numbers need as many vectors, but got {len(vectors)}")
        if vectors is None:
            self.weight = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PADDING).weight
        else:
            self.weight = nn.Parameter(_copy(vectors))
        vector_size = self.weight.shape[1]
        same = vector_size == embedding_size
        self.project = nn.Identity() if same else nn.Linear(vector_size, embedding_size, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        """Word numbers of any shape to vectors [..., E]; padding learns nothing."""
        vectors: Tensor = self.project(nn.functional.embedding(words, self.weight, padding_idx=PADDING))
        return vectors


def _copy(vectors: Tensor) -> Tensor:
    """Vectors that training may change; padding's is 0."""
    copied = vectors.to(torch.float32, copy=True)
    copied[PADDING] = 0
    return copied


class LSTMQuestionEncoder(nn.Module):
    """Word embedding and LSTM; the question's vector is the state after its last word.

    The weights are those of an `nn.LSTM`, and so is the result, worked out in another order.

    Args:
        vocabulary_size, embedding_size, vectors: see `WordEmbedding`.
        hidden_size: H, >= 1.
    """

    def __init__(
        self, *, vocabulary_size: int, embedding_size: int, hidden_size: int, vectors: Tensor | None = None
    ) -> None:
        super().__init__()
        self.embedding = WordEmbedding(vocabulary_size=vocabulary_size, embedding_size=embedding_size, vectors=vectors)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Word numbers [U, L], padded behind with 0, to question vectors [U, H]."""
        tree = PrefixTree.of(tokens)
        words, places = torch.unique(tree.words, return_inverse=True)
        words = nn.functional.pad(words, (0, -len(words) % SIZES), value=PADDING)
        input_weight, state_weight, input_bias, state_bias = self.lstm.all_weights[0]
        word_gates = nn.functional.linear(self.embedding(words), input_weight, input_bias + state_bias)
        gates = word_gates.index_select(0, places)
        return states(gates, state_weight.to(gates.dtype), tree.parents).index_select(0, tree.ends)


class CNNQuestionEncoder(nn.Module):
    """Word embedding and filters over one, two and three words, each at its strongest place in the question.

    The filters are those of `nn.Conv1d`, and so is the result: x_t = tanh(W x_{t:t+n-1} + b) for n = 1, 2, 3,
    the maximum over the places t, the three concatenated. A question shorter than a filter is filled up
    with zero vectors; padding has no other part in it.

    Args:
        vocabulary_size, embedding_size, vectors: see `WordEmbedding`.
        hidden_size: H, >= 5, shared between the filters 1 : 2 : 2 (the paper: 128, 256, 256).
    """

    def __init__(
        self, *, vocabulary_size: int, embedding_size: int, hidden_size: int, vectors: Tensor | None = None
    ) -> None:
        super().__init__()
        self.embedding = WordEmbedding(vocabulary_size=vocabulary_size, embedding_size=embedding_size, vectors=vectors)
        one = hidden_size // 5
        two = (hidden_size - one) // 2
        self.unigram = nn.Conv1d(embedding_size, one, 1, bias=False)
        self.bigram = nn.Conv1d(embedding_size, two, 2, bias=False)
        self.trigram = nn.Conv1d(embedding_size, hidden_size - one - two, 3, bias=False)
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, tokens: Tensor) -> Tensor:
        """Word numbers [U, L], padded behind with 0, to question vectors [U, H]."""
        lengths = _lengths(tokens)
        longest = int(lengths.max())
        filters = (self.unigram, self.bigram, self.trigram)
        tokens = nn.functional.pad(tokens[:, :longest], (0, len(filters) - 1), value=PADDING)
        words, places = torch.unique(tokens, return_inverse=True)
        embedded = self.embedding(words) * (words != PADDING).unsqueeze(1)
        # Row by row, each filter's weights for its first word, its second, its third: a word meets all at once.
        weights = [conv.weight.permute(2, 0, 1).flatten(0, 1) for conv in filters]
        responses = nn.functional.linear(embedded, torch.cat(weights)).index_select(0, places.flatten())
        by_filter = torch.split(responses.view(*places.shape, -1), [len(weight) for weight in weights], dim=2)
        starts = torch.arange(longest, device=tokens.device)
        strongest = []
        for count, response in enumerate(by_filter, start=1):
            by_word = response.chunk(count, dim=2)
            summed = reduce(add, (part[:, place : place + longest] for place, part in enumerate(by_word)))
            into_padding = starts > (lengths - count).clamp(min=0).unsqueeze(1)
            strongest.append(summed.masked_fill(into_padding.unsqueeze(2), -torch.inf).amax(dim=1))
        return torch.tanh(torch.cat(strongest, dim=1) + self.bias)  # tanh rises, so it may follow the maximum


def _lengths(tokens: Tensor) -> Tensor:
    """Words of each question [U]; one for an empty question."""
    return (tokens != PADDING).sum(dim=1).clamp(min=1)


QUESTION_ENCODERS: dict[str, type[LSTMQuestionEncoder] | type[CNNQuestionEncoder]] = {
    "lstm": LSTMQuestionEncoder,
    "cnn": CNNQuestionEncoder,
}
