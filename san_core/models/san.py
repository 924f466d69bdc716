"""The Stacked Attention Network."""

import torch
from torch import Tensor, nn

from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.models.activations import tanh
from san_core.models.dropout import ChannelDropout, Dropout
from san_core.models.image_encoder import ImageEncoder
from san_core.models.question_encoder import QUESTION_ENCODERS
from san_core.models.stacked_attention import StackedAttention


class SAN(nn.Module):
    """Answers questions about images (Yang et al., CVPR 2016, section 3).

    Shapes: B batch, I distinct images, U distinct questions, R regions, C channels, L words, H hidden,
    A answers.

    Args:
        channels: C, length of a region vector from the image encoder.
        vocabulary_size: number of word numbers, including padding and unknown.
        answers: A, size of the answer vocabulary.
        embedding_size, hidden_size, attention_size, hops, dropout, feature_dropout, question_encoder, attention: see
            `TrainingConfig`.
        vectors: pretrained word vectors, see `WordEmbedding`.
        image_encoder: if given, the network takes pixels and the encoder is trained with the rest (fine-tuning);
            if None, the network takes prepared region features.
    """

    def __init__(
        self,
        *,
        channels: int,
        vocabulary_size: int,
        answers: int,
        embedding_size: int,
        hidden_size: int,
        attention_size: int,
        hops: int,
        dropout: float,
        feature_dropout: float = 0.0,
        question_encoder: str = "lstm",
        attention: str = "paper",
        vectors: Tensor | None = None,
        image_encoder: ImageEncoder | None = None,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.question_encoder = QUESTION_ENCODERS[question_encoder](
            vocabulary_size=vocabulary_size, embedding_size=embedding_size, hidden_size=hidden_size, vectors=vectors
        )
        self.feature_dropout = ChannelDropout(feature_dropout)
        self.project = nn.Linear(channels, hidden_size)
        self.attention = StackedAttention(
            num_hops=hops, hidden_size=hidden_size, attention_size=attention_size, dropout=dropout, attention=attention
        )
        self.dropout = Dropout(dropout)
        self.classify = nn.Linear(hidden_size, answers)

    def forward(
        self,
        images: Tensor,
        image_rows: Tensor,
        tokens: Tensor,
        question_rows: Tensor,
        channel_bytes: Tensor | None = None,
    ) -> Tensor:
        """Returns the logits [B, A] of the answers to B questions about images. Arguments as for `attend`."""
        return self.attend(images, image_rows, tokens, question_rows, channel_bytes)[0]

    def attend(
        self,
        images: Tensor,
        image_rows: Tensor,
        tokens: Tensor,
        question_rows: Tensor,
        channel_bytes: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns the logits [B, A] of the answers to B questions about images, and the attention of each hop [B, R].

        Several rows of a batch may be about the same image, or ask the same question. Each distinct image and question
        is encoded once.

        Rows are selected with `index_select`: on a CPU its gradient is summed in a fixed order. With indexing it would
        not be, and the same seed would not give the same weights.

        Args:
            images: distinct images: region features [I, R, C], or pixels [I, S, S, 3] (uint8) if the
                network has an image encoder.
            image_rows: the image of each row [B].
            tokens: word numbers of the distinct questions [U, L], padded with 0 at the end.
            question_rows: the question of each row [B].
            channel_bytes: random bytes of feature dropout [C], see `ChannelDropout`; None draws them where it is used.
        """
        features = images if self.image_encoder is None else self.image_encoder(images)
        if not torch.is_autocast_enabled(features.device.type):
            features = features.to(self.project.weight.dtype)  # prepared features are bfloat16
        weight = self.feature_dropout(self.project.weight, channel_bytes)
        # v = tanh(W f + b), paper, equation (2)
        flat = tanh(nn.functional.linear(features.flatten(0, 1), weight, self.project.bias))
        regions = flat.view(*features.shape[:2], -1)
        question = self.question_encoder(tokens)
        by_image = image_rows.argsort()
        if torch.equal(image_rows[by_image], torch.arange(len(images), device=images.device)):
            # One row per image: reorder the questions, which are smaller than the images.
            query, attention = self.attention(regions, question.index_select(0, question_rows[by_image]))
            query = query.index_select(0, image_rows)
            attention = [of_hop.index_select(0, image_rows) for of_hop in attention]
        else:
            query, attention = self.attention(regions, question.index_select(0, question_rows), image_rows)
        return self.classify(self.dropout(query)), attention


def most_probable(logits: Tensor, top: int = 1) -> tuple[Tensor, Tensor]:
    """The most probable answers by their logits, and their probabilities.

    Answers with equal logits, which are not rare in bfloat16, are in the order of their numbers: the same network gives
    the same answer wherever it is asked.

    Args:
        logits: [B, A].
        top: K, number of answers; at most A.

    Returns:
        Numbers of the answers [B, K], the most probable first, and their probabilities in [0, 1] [B, K].
    """
    logits = logits.float()
    if top == 1:  # argmax takes the first of equal ones too, and is faster than sorting
        numbers = logits.argmax(dim=1, keepdim=True)
    else:
        numbers = logits.argsort(dim=1, descending=True, stable=True)[:, :top]
    return numbers, logits.softmax(dim=1).gather(1, numbers)


def build_san(
    config: TrainingConfig,
    *,
    channels: int,
    vocabulary_size: int,
    answers: int,
    vectors: Tensor | None = None,
    image_encoder: ImageEncoder | None = None,
) -> SAN:
    """Builds an untrained network of the configuration's choices and sizes. Arguments as for `SAN`.

    The vectors are used only if the configuration asks for pretrained ones.

    Raises:
        InputError: if the configuration asks for word vectors and none are given.
    """
    pretrained = config.embedding_init == "pretrained"
    if pretrained and vectors is None:
        raise InputError(
            "embedding_init pretrained needs word vectors, but the data have none; accepted: embedding_init random, "
            "or data prepared with word vectors"
        )
    if image_encoder is not None:
        image_encoder.train_batch_norm = config.batch_norm == "trained"
    return SAN(
        channels=channels,
        vocabulary_size=vocabulary_size,
        answers=answers,
        embedding_size=config.embedding_size,
        hidden_size=config.hidden_size,
        attention_size=config.attention_size,
        hops=config.hops,
        dropout=config.dropout,
        feature_dropout=config.feature_dropout,
        question_encoder=config.question_encoder,
        attention=config.attention,
        vectors=vectors if pretrained else None,
        image_encoder=image_encoder,
    )
