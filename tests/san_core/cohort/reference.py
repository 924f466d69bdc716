"""A SAN and its training step as the equations say, for one member: what stacked members are compared with."""

from collections.abc import Mapping

import torch
from torch import Tensor

from san_core.config import TrainingConfig

State = Mapping[str, Tensor]


def lstm(state: State, words: list[int]) -> Tensor:
    """The hidden state [H] after the last word."""
    name = "question_encoder.lstm."
    size = state[name + "weight_hh_l0"].shape[1]
    hidden = cell = state["project.weight"].new_zeros(size)
    for word in words:
        x = state["question_encoder.embedding.weight"][word]
        gates = state[name + "weight_ih_l0"] @ x + state[name + "bias_ih_l0"]
        gates = gates + state[name + "weight_hh_l0"] @ hidden + state[name + "bias_hh_l0"]
        i, f, g, o = gates.split(size)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
    return hidden


def cnn(state: State, words: list[int]) -> Tensor:
    """The strongest response of each filter over one, two and three words [H]."""
    table = state["question_encoder.embedding.weight"]
    vectors = [table[word] if word else torch.zeros_like(table[word]) for word in words]
    strongest = []
    for count, name in enumerate(("unigram", "bigram", "trigram"), start=1):
        filters = state[f"question_encoder.{name}.weight"]
        filled = vectors + [torch.zeros_like(vectors[0])] * max(0, count - len(vectors))
        windows = [torch.stack(filled[t : t + count], dim=1) for t in range(len(filled) - count + 1)]
        strongest.append(torch.stack([(filters * window).sum(dim=(1, 2)) for window in windows]).amax(dim=0))
    return torch.tanh(torch.cat(strongest) + state["question_encoder.bias"])


def logits(
    state: State, config: TrainingConfig, features: Tensor, words: list[int], kept: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Logits [A] of one question about an image's features [R, C]; paper, sections 3.1 to 3.3.

    Args:
        state: weights by the names of the network.
        config: tells its form and dropout.
        features: features of the image.
        words: numbers of the question's words.
        kept: dropout masks times dropout's scale, for h of each hop [N, R, K] and for u [H].
    """
    v = torch.tanh(features @ state["project.weight"].T + state["project.bias"])
    u = (lstm if config.question_encoder == "lstm" else cnn)(state, words)
    for hop in range(config.hops):
        name = f"attention.hops.{hop}."
        h = torch.tanh(
            v @ state[name + "region.weight"].T + (state[name + "query.weight"] @ u + state[name + "query.bias"])
        )
        h = h if kept is None else h * kept[0][hop]
        scores = h @ state[name + "score.weight"][0] + state[name + "score.bias"]
        p = torch.softmax(scores.tanh() if config.attention == "bounded" else scores, dim=0)
        u = p @ v + u
    u = u if kept is None else u * kept[1]
    return state["classify.weight"] @ u + state["classify.bias"]


def clip(grads: dict[str, Tensor], config: TrainingConfig) -> None:
    """Shortens gradients in place, as `TrainingConfig.clip_norm` says."""
    if config.clip_norm:
        groups = [list(grads.values())] if config.clip_by == "global" else [[grad] for grad in grads.values()]
        for group in groups:
            norm = torch.sqrt(sum(((grad**2).sum() for grad in group), torch.zeros(())))
            for grad in group:
                grad *= min(1.0, float(config.clip_norm / (norm + 1e-6)))


def rmsprop(
    state: dict[str, Tensor], grads: Mapping[str, Tensor], kept: dict[str, Tensor], config: TrainingConfig
) -> None:
    """One update in place; `kept` holds the square averages and momentum buffers from step to step."""
    for name, weight in state.items():
        grad = grads[name]
        if name != "question_encoder.embedding.weight":
            grad = grad + config.weight_decay * weight
        square_avg = config.alpha * kept.get("square_avg " + name, 0) + (1 - config.alpha) * grad**2
        buffer = config.momentum * kept.get("momentum " + name, 0) + grad / (square_avg.sqrt() + config.eps)
        kept["square_avg " + name], kept["momentum " + name] = square_avg, buffer
        state[name] = weight - config.learning_rate * buffer
