"""What one training run is told: the model's sizes and RMSprop's hyperparameters."""

import sys
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Self

from san_core.errors import InputError


def _number(
    default: float, *, above: float | None = None, at_least: float | None = None, below: float | None = None
) -> Any:  # noqa: ANN401 - dataclasses.field() is typed as the field's own type
    """A numeric field whose range stands beside its default."""
    return field(default=default, metadata={"above": above, "at_least": at_least, "below": below})


def _choice(default: str, *choices: str) -> Any:  # noqa: ANN401 - as above
    """A field that takes one of a few words."""
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything `train_fn` needs to know besides the data.

    The defaults are the baseline this project starts from (SAN trained with RMSprop). A search
    space may search any of these fields; a data set suggests values for those it does not.

    Attributes:
        learning_rate: RMSprop's step size, in (0, 10).
        momentum: RMSprop's momentum, in [0, 1).
        dropout: share of activations zeroed on h of each hop and on u before the classifier, in [0, 1).
        embedding_size: length E of a word vector, >= 1.
        alpha: RMSprop's smoothing of the squared gradient, in [0, 1).
        eps: added to RMSprop's denominator, > 0.
        hidden_size: length H of the question vector and of a projected region, >= 1.
        attention_size: length K of a hop's hidden layer, >= 1.
        hops: number of attention hops, >= 1 (the paper: 1 or 2).
        batch_size: questions per step, >= 1.
        questions_per_image: how many questions about one image stay together in a batch, >= 1. With 1
            the questions are fully shuffled; more share the work on the image between them.
        epochs: passes over the training questions, >= 1.
        seed: of weights, dropout and the order of the questions, >= 0.
        precision: of the activations: `bfloat16`, `float32`, or `auto`: bfloat16 where the hardware
            multiplies it faster. Weights and their updates are always float32.

    Raises:
        InputError: naming every field that breaks its rule, not only the first.
    """

    learning_rate: float = _number(4e-4, above=0, below=10)
    momentum: float = _number(0.9, at_least=0, below=1)
    dropout: float = _number(0.5, at_least=0, below=1)
    embedding_size: int = _number(1000, at_least=1)
    alpha: float = _number(0.99, at_least=0, below=1)
    eps: float = _number(1e-8, above=0)
    hidden_size: int = _number(1024, at_least=1)
    attention_size: int = _number(512, at_least=1)
    hops: int = _number(2, at_least=1)
    batch_size: int = _number(100, at_least=1)
    questions_per_image: int = _number(1, at_least=1)
    epochs: int = _number(20, at_least=1)
    seed: int = _number(0, at_least=0)
    precision: str = _choice("auto", "auto", "float32", "bfloat16")

    def __post_init__(self) -> None:
        problems = [p for f in fields(self) if (p := _problem(f, getattr(self, f.name)))]
        if problems:
            raise InputError("; ".join(problems))

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """The configuration with `values` in place of the defaults.

        Raises:
            InputError: for a field that does not exist or a value outside its range.
        """
        if unknown := sorted(set(values) - set(cls.field_names())):
            raise InputError(f"unknown training setting {', '.join(unknown)}; accepted: {', '.join(cls.field_names())}")
        return cls(**values)  # type: ignore[arg-type]  # __post_init__ checks every value

    @classmethod
    def field_names(cls) -> list[str]:
        """The names a search space or `--set` may use."""
        return [f.name for f in fields(cls)]

    def to_dict(self) -> dict[str, float | int | str]:
        """Plain values by field name, fit for JSON."""
        return asdict(self)


def _problem(rule: Field[Any], value: object) -> str | None:
    """What is wrong with `value`, or None."""
    if "choices" in rule.metadata:
        choices = rule.metadata["choices"]
        return None if value in choices else f"{rule.name} must be one of {', '.join(choices)}, but got {value!r}"
    whole = rule.type is int
    accepted = _accepted(rule, "whole number" if whole else "number")
    is_number = isinstance(value, int) if whole else isinstance(value, int | float)
    finite = is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]  # False for NaN as well
    if not finite or isinstance(value, bool):
        return f"{rule.name} must be a {accepted}, but got {value!r}"
    limits = rule.metadata
    too_low = (limits["above"] is not None and value <= limits["above"]) or (
        limits["at_least"] is not None and value < limits["at_least"]
    )
    if too_low or (limits["below"] is not None and value >= limits["below"]):
        return f"{rule.name} must be a {accepted}, but got {value!r}"
    return None


def _accepted(rule: Field[Any], kind: str) -> str:
    words = {"above": "> {:g}", "at_least": ">= {:g}", "below": "< {:g}"}
    limits = [text.format(rule.metadata[k]) for k, text in words.items() if rule.metadata[k] is not None]
    return f"{kind} {' and '.join(limits)}"
