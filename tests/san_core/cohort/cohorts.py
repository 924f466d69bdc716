"""Small cohorts over random images and questions, on any device, without a data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from san_core.cohort.batches import BatchBuffers, Slots
from san_core.cohort.data import Questions, ResidentFeatures
from san_core.cohort.layout import Layout, Sizes
from san_core.cohort.network import OPTIONAL_FIELDS, SIZE_FIELDS, Network
from san_core.cohort.optimizer import CohortRMSprop, Hyperparameters
from san_core.cohort.step import PredictStep, TrainStep
from san_core.config import TrainingConfig
from san_core.models.san import build_san

IMAGES, REGIONS, CHANNELS, VOCABULARY, ANSWERS, TEXTS, LONGEST = 6, 5, 11, 9, 6, 8, 5
SLOTS, STEPS = Slots(4, 2), 3

COMMON = {"hidden_size": 16, "attention_size": 8, "embedding_size": 8, "precision": "float32", "dropout": 0.4}
MEMBERS = (
    {"seed": 1, "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 1e-3},
    {"seed": 2, "learning_rate": 4e-3, "momentum": 0.0, "hidden_size": 13, "embedding_size": 5, "eps": 1e-4},
    {"seed": 3, "learning_rate": 5e-4, "momentum": 0.5, "attention_size": 11, "embedding_size": 12, "dropout": 0.0},
    {"seed": 4, "learning_rate": 2e-3, "alpha": 0.9, "hidden_size": 21, "dropout": 0.7, "feature_dropout": 0.3},
    {"seed": 5, "clip_norm": 0.5},
    {"seed": 6, "learning_rate": 1e-2, "attention_size": 3, "feature_dropout": 0.8},
    {"seed": 7, "dropout": 0.25},
)
"""Settings of up to seven members, all of different sizes and hyperparameters."""


def configs_of(members: int, **settings: object) -> list[TrainingConfig]:
    """Configurations of so many members, with the settings in common."""
    return [TrainingConfig.from_dict({**COMMON, **member, **settings}) for member in MEMBERS[:members]]


def largest_of(configs: Sequence[TrainingConfig]) -> TrainingConfig:
    """The first of the configurations, at the largest sizes, clip norm and dropouts of them all."""
    names = (*SIZE_FIELDS, *OPTIONAL_FIELDS)
    return replace(configs[0], **{name: max(getattr(config, name) for config in configs) for name in names})


@dataclass
class Cohort:
    """A cohort and the data it trains on.

    Attributes:
        configs: configuration of each member.
        network, optimizer, step: parts that are tested.
        images: features [N, R, C] on the host.
        tokens: word numbers of the distinct questions [U, L], padded behind with 0; the last is empty.
        questions: the same on the device.
    """

    configs: list[TrainingConfig]
    network: Network
    optimizer: CohortRMSprop
    step: TrainStep
    images: Tensor
    tokens: Tensor
    questions: Questions

    def state(self, member: int) -> dict[str, Tensor]:
        """A member's weights by the names of its network."""
        return self.network.layout.unpack(self.network.weights[member], self.configs[member])

    def padding(self, flat: Tensor) -> list[Tensor]:
        """What of a buffer [W, P] belongs to no member's own sizes, by member."""
        found = []
        for member in range(len(self.configs)):
            own = torch.zeros_like(flat[member])
            layout = self.network.layout
            layout.pack(
                own, self.configs[member], {name: torch.ones_like(value) for name, value in self.state(member).items()}
            )
            found.append(flat[member][own == 0])
        return found


def cohort(
    configs: Sequence[TrainingConfig],
    device: torch.device | str = "cpu",
    *,
    dtype: torch.dtype = torch.float64,
    working: torch.dtype | None = None,
) -> Cohort:
    """A cohort with fresh weights and a buffers of random batches, one slot of each empty."""
    device = torch.device(device)
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.standard_normal((IMAGES, REGIONS, CHANNELS))).float()
    tokens = torch.from_numpy(random.integers(1, VOCABULARY, (TEXTS, LONGEST)))
    lengths = torch.from_numpy(random.integers(1, LONGEST + 1, TEXTS))
    lengths[0], lengths[-1] = LONGEST, 0
    tokens[torch.arange(LONGEST) >= lengths.unsqueeze(1)] = 0
    sizes = Sizes(vocabulary=VOCABULARY, channels=CHANNELS, answers=ANSWERS)
    largest = largest_of(configs)
    network = Network(len(configs), Layout(largest, sizes), device, dtype=dtype, working=working)
    network.set_members(configs)
    network.active.fill_(True)
    optimizer = CohortRMSprop(network, Hyperparameters.of(configs, device, dtype))
    soft = configs[0].answer_target == "soft"
    channels = CHANNELS if largest.feature_dropout > 0 else None
    buffers = BatchBuffers(STEPS, SLOTS, 3 if soft else None, device, channels)
    questions = Questions.of(tokens, configs[0].question_encoder, device)
    features = ResidentFeatures.load(images, device, network.working.dtype)
    step = TrainStep(network, optimizer, buffers, features, questions, regions=REGIONS)
    if device.type != "meta":
        buffers.images.copy_(torch.from_numpy(random.integers(0, IMAGES, (STEPS, SLOTS.images))))
        buffers.questions.copy_(torch.from_numpy(random.integers(0, TEXTS, (STEPS, SLOTS.rows))))
        buffers.questions[0, 0] = TEXTS - 1  # the empty question
        buffers.targets.copy_(torch.from_numpy(random.integers(0, ANSWERS, buffers.targets.shape)))
        buffers.filled.fill_(True)
        buffers.filled[:, 3] = False
        if buffers.channels is not None:
            buffers.channels.copy_(torch.from_numpy(random.integers(0, 256, buffers.channels.shape)))
        for member, config in enumerate(configs):
            _fill(network, member, config)
    return Cohort(list(configs), network, optimizer, step, images, tokens, questions)


def _fill(network: Network, member: int, config: TrainingConfig) -> None:
    torch.manual_seed(config.seed)
    san = build_san(config, channels=CHANNELS, vocabulary_size=VOCABULARY, answers=ANSWERS)
    network.layout.pack(network.weights[member], config, san.state_dict())
    if network.working is not network.weights:
        network.working[member].copy_(network.weights[member])


def predict_step(made: Cohort) -> PredictStep:
    """Evaluation of a cohort on the batches of its buffers."""
    step = made.step
    return PredictStep(made.network, step.buffers, step.features, made.questions)
