"""The cohort's step on random features, questions and answers, so that timing it needs neither data nor network."""

from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.gpu.timing import Scale
from benchmarks.shapes import Shape
from san_core.cohort.batches import BatchBuffers, Slots
from san_core.cohort.data import PrefetchedFeatures, Questions, ResidentFeatures, padded_channels
from san_core.cohort.layout import Layout, Sizes
from san_core.cohort.network import Network
from san_core.cohort.optimizer import CohortRMSprop, Hyperparameters
from san_core.cohort.step import TrainStep


def cohort_step(
    shape: Shape,
    members: int,
    scale: Scale,
    device: torch.device,
    features: ResidentFeatures | PrefetchedFeatures | None = None,
    steps: int = 8,
) -> TrainStep:
    """Makes a training step of a shape with random weights, on random batches of the stored images."""
    config = shape.config
    working = torch.bfloat16 if device.type == "cuda" else torch.float32
    configs = [replace(config, seed=seed, learning_rate=1e-4 * (1 + seed)) for seed in range(members)]
    layout = Layout(config, Sizes(shape.vocabulary_size, shape.channels, shape.answers))
    network = Network(members, layout, device, working=working)
    network.set_members(configs)
    network.active.fill_(True)
    network.weights.normal_(std=0.02)
    network.working.copy_(network.weights)
    optimizer = CohortRMSprop(network, Hyperparameters.of(configs, device, torch.float32))
    slots = Slots(-(-config.batch_size // shape.questions_per_image), shape.questions_per_image)
    buffers = random_batches(shape, slots, steps, scale.stored, device)
    if features is None:
        store = torch.randn(scale.stored, shape.regions, shape.channels, device=device).relu().to(working)
        features = ResidentFeatures(padded_channels(store))
    questions = Questions.of(texts(shape), config.question_encoder, device)
    return TrainStep(network, optimizer, buffers, features, questions, regions=shape.regions)


def random_batches(shape: Shape, slots: Slots, steps: int, images: int, device: torch.device) -> BatchBuffers:
    """Makes batches of random images, questions and answers; every slot is filled."""
    buffers = BatchBuffers(steps, slots, None, device)
    buffers.images.copy_(torch.randint(images, buffers.images.shape))
    buffers.questions.copy_(torch.randint(len(texts(shape)), buffers.questions.shape))
    buffers.targets.copy_(torch.randint(shape.answers, buffers.targets.shape))
    buffers.filled.fill_(True)
    return buffers


def texts(shape: Shape) -> Tensor:
    """Random word numbers of the distinct questions [U, L], padded at the end with 0."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(2, shape.vocabulary_size, (shape.texts or 1000, shape.longest), generator=generator)
    lengths = torch.randint(shape.shortest, shape.longest + 1, (len(words), 1), generator=generator)
    words[torch.arange(shape.longest) >= lengths] = 0
    return words
