"""The network sizes for which training is timed, and random batches of these sizes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from san_core.config import TrainingConfig
from san_core.data.prepared import Batch
from san_core.models.san import SAN, build_san


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a network and its batches, with the letters of `san_core.models`.

    Attributes:
        name: name in tables.
        config: sizes and hyperparameters of the network.
        regions, channels: numbers of regions R and channels C of an image.
        vocabulary_size: number of word numbers, including padding and unknown.
        answers: size A of the answer vocabulary.
        shortest, longest: smallest and largest number of words of a question; lengths are uniformly distributed.
        questions_per_image: number of questions about each image in a batch.
        texts: number of distinct questions in the data, from which batches are drawn; None if all questions of a batch
            are distinct.
    """

    name: str
    config: TrainingConfig
    regions: int
    channels: int
    vocabulary_size: int
    answers: int
    shortest: int = 6
    longest: int = 10
    questions_per_image: int = 1
    texts: int | None = None

    def batch(self, generator: torch.Generator) -> tuple[Batch, Tensor]:
        """A batch of random features and questions, with random answers."""
        rows = self.config.batch_size
        images = -(-rows // self.questions_per_image)
        texts = torch.randint(2, self.vocabulary_size, (self.texts or rows, self.longest), generator=generator)
        lengths = torch.randint(self.shortest, self.longest + 1, (len(texts), 1), generator=generator)
        texts[torch.arange(self.longest) >= lengths] = 0
        drawn = torch.randint(len(texts), (rows,), generator=generator) if self.texts else torch.arange(rows)
        # Shuffled, since in `PreparedData.batch` the order of the images is unrelated to that of the questions.
        questions, question_rows = torch.unique(drawn[torch.randperm(rows, generator=generator)], return_inverse=True)
        batch = Batch(
            images=torch.randn(images, self.regions, self.channels, generator=generator).relu().bfloat16(),
            image_rows=(torch.arange(rows) // self.questions_per_image)[torch.randperm(rows, generator=generator)],
            tokens=texts[questions],
            question_rows=question_rows,
        )
        return batch, torch.randint(self.answers, (rows,), generator=generator)

    def network(self) -> SAN:
        """An untrained network, as training builds it."""
        return build_san(
            self.config, channels=self.channels, vocabulary_size=self.vocabulary_size, answers=self.answers
        )


SHAPES = (
    Shape(
        name="paper",
        config=TrainingConfig(),
        regions=196,
        channels=512,
        vocabulary_size=2000,
        answers=1000,
    ),
    Shape(
        name="daquar",
        config=TrainingConfig(hidden_size=512, embedding_size=500),
        regions=196,
        channels=1280,
        vocabulary_size=2000,
        answers=500,
    ),
    Shape(
        name="easy-vqa",
        config=TrainingConfig(
            hidden_size=256, embedding_size=64, attention_size=128, batch_size=128, questions_per_image=4
        ),
        regions=16,
        channels=1280,
        vocabulary_size=40,
        answers=13,
        texts=107,
        shortest=4,
        longest=9,
        questions_per_image=4,
    ),
)
"""VQA as in the authors' code; DAQUAR and easy-VQA on EfficientNet-Lite features."""
