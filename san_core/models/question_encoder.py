"""Encodes questions as vectors (paper, section 3.2).

A batch of questions has few distinct words. So both encoders compute what depends on a word alone once for each
distinct word, and not at each position of each question. In the same way the LSTM computes each distinct prefix of the
questions once.

Shapes: U questions, L words, V vocabulary, D pretrained word vector, E embedding, H hidden, W distinct
words of the batch.
"""

import math
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from san_core.data.vocabulary import PADDING
from san_core.models.lstm import tree_lstm
from san_core.models.prefix_tree import SIZE_MULTIPLE, PrefixTree


class WordEmbedding(nn.Module):
    """A trained vector for each word, initialised at random or from pretrained vectors.

    Args:
        vocabulary_size: V, number of word numbers, including padding and unknown.
        embedding_size: E.
        vectors: pretrained word vectors [V, D] to start from, see `standardised`. Where D is not E, a linear layer
            without bias projects them to E. To load trained weights, pass zeros of that shape.

    Raises:
        ValueError: if there is not one vector for each word number.
    """

    def __init__(self, *, vocabulary_size: int, embedding_size: int, vectors: Tensor | None = None) -> None:
        super().__init__()
        if vectors is not None and len(vectors) != vocabulary_size:
            raise ValueError(f"{vocabulary_size} word numbers need as many vectors, but got {len(vectors)}")
        if vectors is None:
            self.weight = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PADDING).weight
        else:
            self.weight = nn.Parameter(standardised(vectors))
        vector_size = self.weight.shape[1]
        self.project: nn.Module = nn.Identity()
        if vector_size != embedding_size:
            self.project = nn.Linear(vector_size, embedding_size, bias=False)
            with torch.no_grad():  # from variance 1/(3 D) to 1/D, so that a projected vector has variance 1 as well
                self.project.weight.mul_(math.sqrt(3))

    def forward(self, words: Tensor) -> Tensor:
        """Embeds word numbers of any shape as vectors [..., E]; the vector of padding gets no gradient."""
        vectors: Tensor = self.project(nn.functional.embedding(words, self.weight, padding_idx=PADDING))
        return vectors


def standardised(vectors: Tensor) -> Tensor:
    """Word vectors [V, D] with mean 0 and standard deviation 1 in each dimension, as random ones have; padding's is 0.

    Pretrained vectors as they are make training worse: they have a large part in common (Mu and Viswanath,
    "All-but-the-Top", ICLR 2018), and are shorter. With GloVe's 50 dimensions the question vectors of an untrained LSTM
    differ from each other a third as much as with random word vectors.
    """
    copied = vectors.to(torch.float64, copy=True)
    words = copied[PADDING + 1 :]
    words -= words.mean(dim=0)
    words /= words.std(dim=0, correction=0).clamp(min=1e-12)  # a dimension that is the same for all words stays 0
    copied[PADDING] = 0
    return copied.float()


class LSTMQuestionEncoder(nn.Module):
    """Word embedding and LSTM; the question vector is the hidden state after the last word.

    The weights and the results are those of an `nn.LSTM`; only the order of the computation differs.

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
        """Encodes word numbers [U, L], padded with 0 at the end, as question vectors [U, H]."""
        tree = PrefixTree.of(tokens)
        words, word_rows = torch.unique(tree.words, return_inverse=True)
        words = nn.functional.pad(words, (0, -len(words) % SIZE_MULTIPLE), value=PADDING)
        w_input, w_hidden, b_input, b_hidden = self.lstm.all_weights[0]
        inputs_of_words = nn.functional.linear(self.embedding(words), w_input, b_input + b_hidden)
        gate_inputs = inputs_of_words.index_select(0, word_rows)
        return tree_lstm(gate_inputs, w_hidden.to(gate_inputs.dtype), tree.parents).index_select(0, tree.ends)


def filter_sizes(hidden_size: int) -> tuple[int, int, int]:
    """Numbers of the CNN's filters over one, two and three words, about 1 : 2 : 2; they add up to `hidden_size`."""
    one = hidden_size // 5
    two = (hidden_size - one) // 2
    return one, two, hidden_size - one - two


class CNNQuestionEncoder(nn.Module):
    """Word embedding and filters over one, two and three words, with max pooling over the question.

    For n = 1, 2, 3: x_t = tanh(W x_{t:t+n-1} + b), and the maximum over the positions t; the three results are
    concatenated. The weights and the results are those of `nn.Conv1d`. A question shorter than a filter is filled up
    with zero vectors; otherwise padding has no influence.

    Args:
        vocabulary_size, embedding_size, vectors: see `WordEmbedding`.
        hidden_size: H, >= 5, shared between the filters 1 : 2 : 2 (the paper: 128, 256, 256).
    """

    def __init__(
        self, *, vocabulary_size: int, embedding_size: int, hidden_size: int, vectors: Tensor | None = None
    ) -> None:
        super().__init__()
        self.embedding = WordEmbedding(vocabulary_size=vocabulary_size, embedding_size=embedding_size, vectors=vectors)
        one, two, three = filter_sizes(hidden_size)
        self.unigram = nn.Conv1d(embedding_size, one, 1, bias=False)
        self.bigram = nn.Conv1d(embedding_size, two, 2, bias=False)
        self.trigram = nn.Conv1d(embedding_size, three, 3, bias=False)
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, tokens: Tensor) -> Tensor:
        """Encodes word numbers [U, L], padded with 0 at the end, as question vectors [U, H]."""
        lengths = _lengths(tokens)
        longest = int(lengths.max())
        filters = (self.unigram, self.bigram, self.trigram)
        tokens = nn.functional.pad(tokens[:, :longest], (0, len(filters) - 1), value=PADDING)
        words, word_rows = torch.unique(tokens, return_inverse=True)
        embedded = self.embedding(words) * (words != PADDING).unsqueeze(1)
        # One product of each distinct word with all filters' weights, for each of the filters' positions.
        weights = [conv.weight.permute(2, 0, 1).flatten(0, 1) for conv in filters]
        responses = nn.functional.linear(embedded, torch.cat(weights)).index_select(0, word_rows.flatten())
        by_filter = torch.split(responses.view(*word_rows.shape, -1), [len(weight) for weight in weights], dim=2)
        starts = torch.arange(longest, device=tokens.device)
        pooled = []
        for size, response in enumerate(by_filter, start=1):
            by_position = response.chunk(size, dim=2)
            convolved = reduce(add, (part[:, offset : offset + longest] for offset, part in enumerate(by_position)))
            into_padding = starts > (lengths - size).clamp(min=0).unsqueeze(1)
            pooled.append(convolved.masked_fill(into_padding.unsqueeze(2), -torch.inf).amax(dim=1))
        return torch.tanh(torch.cat(pooled, dim=1) + self.bias)  # tanh is increasing, so it may follow the maximum


def _lengths(tokens: Tensor) -> Tensor:
    """Number of words of each question [U]; 1 for an empty question."""
    return (tokens != PADDING).sum(dim=1).clamp(min=1)


QUESTION_ENCODERS: dict[str, type[LSTMQuestionEncoder] | type[CNNQuestionEncoder]] = {
    "lstm": LSTMQuestionEncoder,
    "cnn": CNNQuestionEncoder,
}
