"""The network as plain equations, without the faster steps of training, in a form that torch.export takes."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from san_core.data.vocabulary import PADDING
from san_core.models.ensemble import Ensemble
from san_core.models.hops import HopOptions
from san_core.models.question_encoder import CNNQuestionEncoder, LSTMQuestionEncoder
from san_core.models.san import SAN
from san_core.models.stacked_attention import AttentionHop, reference_hops, stack_weights


class ExportableSAN(nn.Module):
    """Computes what `SAN` or `Ensemble` computes for one question about one image, by the equations of the paper.

    It consists of operators of torch alone and takes no decision by its data, as torch.export wants it.

    Args:
        network: a trained network, or an ensemble, with an image encoder; its weights are shared, not copied.

    Raises:
        ValueError: if it has no image encoder.
    """

    def __init__(self, network: SAN | Ensemble) -> None:
        super().__init__()
        members = network if isinstance(network, Ensemble) else ()
        if all(part.image_encoder is None for part in (network, *members)):
            raise ValueError("the network has no image encoder")
        self.network = network.eval()

    def forward(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Answers a question.

        Args:
            pixels: [1, S, S, 3], RGB, uint8.
            tokens: numbers of the words [1, L]; any number of 0 may follow them.

        Returns:
            The probability of each answer [1, A], and the attention of each hop to each region [1, N, R].
        """
        if isinstance(self.network, SAN):
            return _answer(self.network, pixels, tokens)
        encoder = self.network.image_encoder
        images = pixels if encoder is None else encoder(pixels)
        replies = [_answer(member, images, tokens) for member in self.network]
        probabilities, attention = (torch.stack(parts).mean(dim=0) for parts in zip(*replies, strict=True))
        return probabilities, attention


def _answer(network: SAN, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What a network answers, see `forward`; without an image encoder it takes region features [1, R, C]."""
    features = images if network.image_encoder is None else network.image_encoder(images)
    regions = torch.tanh(network.project(features))
    query = _encode(network.question_encoder, tokens)
    hops = cast("Sequence[AttentionHop]", network.attention.hops)
    options = HopOptions(None, [None] * len(hops), hops[0].bounded)
    query, attention = reference_hops(options, regions, query, stack_weights(hops))
    return network.classify(query).softmax(dim=1), torch.stack(attention, dim=1)


def _encode(encoder: LSTMQuestionEncoder | CNNQuestionEncoder, tokens: Tensor) -> Tensor:
    """Question vectors [1, H] of word numbers [1, L]."""
    lengths = (tokens != PADDING).sum(dim=1).clamp(min=1)
    embedded = encoder.embedding(tokens)
    if isinstance(encoder, LSTMQuestionEncoder):
        hidden, _ = encoder.lstm(embedded)
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, hidden.shape[2])
        found: Tensor = hidden.gather(1, last).squeeze(1)
        return found
    words = (embedded * (tokens != PADDING).unsqueeze(2)).transpose(1, 2)  # [1, E, L]
    starts = torch.arange(tokens.shape[1], device=tokens.device)
    pooled = []
    for size, conv in enumerate((encoder.unigram, encoder.bigram, encoder.trigram), start=1):
        convolved = conv(nn.functional.pad(words, (0, size - 1)))
        into_padding = starts > (lengths - size).clamp(min=0).unsqueeze(1)
        pooled.append(convolved.masked_fill(into_padding.unsqueeze(1), -torch.inf).amax(dim=2))
    return torch.tanh(torch.cat(pooled, dim=1) + encoder.bias)
