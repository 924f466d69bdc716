"""The configuration of a training run: the sizes of the network and the hyperparameters of training."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from operator import ge, gt, le, lt
from typing import Any, Self

from san_core.errors import InputError

_CNN_HIDDEN_SIZE = 5  # the question vector is divided 1 : 2 : 2 between its filters
LARGEST_SIZE = 100_000
"""Largest length of a vector: that of an embedding for each of 10,000 words has 4 GB."""

MOST_HOPS = 100
"""Most attention hops."""

MOST = 1_000_000
"""Largest of the numbers that count epochs or questions."""

LARGEST_SEED = 2**63 - 1
"""Largest seed that PyTorch takes."""

_LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "above": ("> {:g}", gt),
    "at_least": (">= {:g}", ge),
    "below": ("< {:g}", lt),
    "at_most": ("<= {:,}", le),
}
"""For each kind of limit of a numeric field: its text in messages, and how a value is compared with it."""


def _number(default: float | None, **limits: float) -> Any:  # noqa: ANN401 - dataclasses.field() is typed as the field's own type
    """A numeric field with its default and its range (`_LIMITS`); it may be None if its default is."""
    return field(default=default, metadata=limits)


def _choice(default: str, *choices: str) -> Any:  # noqa: ANN401 - as above
    """A field with a fixed set of texts as values."""
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything `train_fn` needs besides the data.

    The defaults are the baseline of this project (SAN trained with RMSprop). A search space may contain any of these
    fields; the others take the defaults of the data set.

    Attributes:
        learning_rate: RMSprop's step size, in (0, 10).
        momentum: RMSprop's momentum, in [0, 1).
        dropout: share of activations zeroed in h of each hop and in u before the classifier, in [0, 1).
        feature_dropout: share of the channels of the image features zeroed, in [0, 1): each for all regions of all
            images of a batch, see `san_core.models.dropout.ChannelDropout`. It helps where images are few.
        embedding_size: length E of a word vector, 1 to `LARGEST_SIZE`.
        alpha: RMSprop's smoothing constant of the squared gradient, in [0, 1).
        eps: small number added to RMSprop's denominator, > 0.
        weight_decay: L2 penalty, added to the gradient as RMSprop does, >= 0. As in the authors' code
            the word embedding has none.
        clip_norm: largest norm of the gradients, >= 0; larger ones are scaled down to it. 0 means no clipping.
        clip_by: the norm that is clipped: `global`, of all gradients as one vector, or `tensor`, of each parameter's
            gradient on its own (the authors' code: 0.1 per tensor).
        schedule: schedule of the learning rate over the epochs: `constant`, `step` or `cosine` (to almost 0).
        step_epochs: number of epochs between two steps of the step schedule, >= 1.
        step_factor: factor of the learning rate at each step of the step schedule, in (0, 1].
        question_encoder: form of the question encoder, `lstm` or `cnn` (paper, section 3.2). The CNN needs
            hidden_size >= 5.
        embedding_init: initial word embedding: `random`, or the `pretrained` word vectors that the data were prepared
            with. Both are trained.
        hidden_size: length H of the question vector and of a projected region, 1 to `LARGEST_SIZE`.
        attention: form of a hop: `paper`, softmax(W_P h + b_P), or `bounded`, softmax(tanh(W_P h + b_P)), as in the
            authors' code.
        attention_size: length K of a hop's hidden layer, 1 to `LARGEST_SIZE`.
        hops: number of attention hops, 1 to `MOST_HOPS` (the paper: 1 or 2).
        answer_target: training target of a question that people answered differently: `modal`, the most frequent
            answer, `soft`, every answer with its share, or `sampled`, the answer of one person, drawn again at each
            step (the authors' code).
        batch_norm: statistics of batch normalisation in an image encoder that is fine-tuned: `frozen` or `trained`.
        batch_size: number of questions per step, >= 1.
        questions_per_image: number of questions about one image that are put into the same batch, >= 1. With 1 the
            questions are fully shuffled; with more an image is encoded once for several questions.
        epochs: number of epochs, >= 1. Each is a pass over the training questions, or a part of one.
        epochs_per_pass: number of epochs that a pass over the training questions is divided into, >= 1. A network is
            scored, and can be stopped, after each epoch. More than 1 is for data sets of many thousand steps.
        seed: seed of the initial weights, >= 0; without `order_seed` also of what that one decides.
        order_seed: seed of the order of the questions, of dropout and of the answers that `sampled` draws, >= 0. None
            takes `seed`. Trainings with the same order_seed can be trained together, whatever their seeds.
        precision: type of the activations: `bfloat16`, `float32`, or `auto`: bfloat16 where the hardware
            multiplies it faster. Weights and their updates are always in float32.
        device_step: training step: `on` for the step that is one CUDA graph (`san_core.cohort`), `off` for the step for
            CPUs, `auto` for the first on a GPU and the second on a CPU. They differ in rounding and in dropout's random
            numbers.

    Raises:
        InputError: if fields break their rules; the message names all of them.
    """

    learning_rate: float = _number(4e-4, above=0, below=10)
    momentum: float = _number(0.9, at_least=0, below=1)
    dropout: float = _number(0.5, at_least=0, below=1)
    feature_dropout: float = _number(0.0, at_least=0, below=1)
    embedding_size: int = _number(1000, at_least=1, at_most=LARGEST_SIZE)
    alpha: float = _number(0.99, at_least=0, below=1)
    eps: float = _number(1e-8, above=0)
    weight_decay: float = _number(0.0, at_least=0)
    clip_norm: float = _number(0.0, at_least=0)
    clip_by: str = _choice("global", "global", "tensor")
    schedule: str = _choice("constant", "constant", "step", "cosine")
    step_epochs: int = _number(5, at_least=1, at_most=MOST)
    step_factor: float = _number(0.1, above=0, at_most=1)
    question_encoder: str = _choice("lstm", "lstm", "cnn")
    embedding_init: str = _choice("random", "random", "pretrained")
    hidden_size: int = _number(1024, at_least=1, at_most=LARGEST_SIZE)
    attention: str = _choice("paper", "paper", "bounded")
    attention_size: int = _number(512, at_least=1, at_most=LARGEST_SIZE)
    hops: int = _number(2, at_least=1, at_most=MOST_HOPS)
    answer_target: str = _choice("modal", "modal", "soft", "sampled")
    batch_norm: str = _choice("frozen", "frozen", "trained")
    batch_size: int = _number(100, at_least=1, at_most=MOST)
    questions_per_image: int = _number(1, at_least=1, at_most=MOST)
    epochs: int = _number(20, at_least=1, at_most=MOST)
    epochs_per_pass: int = _number(1, at_least=1, at_most=MOST)
    seed: int = _number(0, at_least=0, at_most=LARGEST_SEED)
    order_seed: int | None = _number(None, at_least=0, at_most=LARGEST_SEED)
    precision: str = _choice("auto", "auto", "float32", "bfloat16")
    device_step: str = _choice("auto", "auto", "on", "off")

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a number of NumPy or PyTorch
                object.__setattr__(self, name, value.item())
        problems = {f.name: p for f in fields(self) if (p := _problem(f, getattr(self, f.name)))}
        if self.question_encoder == "cnn" and "hidden_size" not in problems and self.hidden_size < _CNN_HIDDEN_SIZE:
            problems["question_encoder"] = (
                f"question_encoder cnn needs hidden_size >= {_CNN_HIDDEN_SIZE}, but got {self.hidden_size}"
            )
        if problems:
            raise InputError("; ".join(problems.values()))

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Builds a configuration from `values`; the other fields take their defaults.

        Raises:
            InputError: if a field does not exist or its value is outside its range.
        """
        if unknown := sorted(set(values) - set(cls.field_names())):
            raise InputError(f"unknown training setting {', '.join(unknown)}; accepted: {', '.join(cls.field_names())}")
        return cls(**values)  # type: ignore[arg-type]  # __post_init__ checks every value

    @property
    def batch_seed(self) -> int:
        """The seed of the order of the questions, of dropout and of the answers that are drawn."""
        return self.seed if self.order_seed is None else self.order_seed

    @classmethod
    def field_names(cls) -> list[str]:
        """The names of all fields."""
        return [f.name for f in fields(cls)]

    def to_dict(self) -> dict[str, float | int | str | None]:
        """The values by field name, as JSON can hold them."""
        return asdict(self)


def without_effect(settings: Mapping[str, Any]) -> set[str]:
    """The settings that others make meaningless: those of the step schedule without one, and how nothing is clipped.

    Args:
        settings: all settings that are not at their defaults.
    """
    schedule, clip_norm = settings.get("schedule", "constant"), settings.get("clip_norm", 0.0)
    unused = set() if schedule == "step" else {"step_epochs", "step_factor"}
    return unused if clip_norm else {*unused, "clip_by"}


def _problem(rule: Field[Any], value: object) -> str | None:
    """What is wrong with `value`, or None."""
    if "choices" in rule.metadata:
        choices = rule.metadata["choices"]
        return None if value in choices else f"{rule.name} must be one of {', '.join(choices)}, but got {value!r}"
    if value is None and rule.default is None:
        return None
    whole = rule.type in (int, int | None)
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    # A finite number; comparing is False for NaN as well.
    accepted = is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
    if accepted and all(_LIMITS[limit][1](value, bound) for limit, bound in rule.metadata.items()):
        return None
    # The largest whole number is more than anybody wants: only who exceeds it is told of it.
    left_out = "at_most" if whole and not (is_number and value > rule.metadata.get("at_most", math.inf)) else ""
    told = {limit: bound for limit, bound in rule.metadata.items() if limit != left_out}
    limits = " and ".join(_LIMITS[limit][0].format(bound) for limit, bound in told.items())
    return f"{rule.name} must be a {'whole ' if whole else ''}number {limits}, but got {value!r}"
