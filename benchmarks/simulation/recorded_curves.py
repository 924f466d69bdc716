"""Learning curves for simulated trials, from those of a real search that were recorded."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

EASY_VQA = Path(__file__).with_name("easy_vqa_curves.json")
"""Validation accuracy of random configurations of the space `san` on easy-VQA, trained to the end."""

NEIGHBOURS = 3
"""A trial's curve is the mean of the recorded curves of so many configurations that are closest to its own."""

NOISE = 0.005
"""Standard deviation of what is added to each score: on easy-VQA it is half a point between seeds."""


@dataclass(frozen=True)
class RecordedCurves:
    """Scores of configurations after each epoch, and what they tell about other configurations.

    Attributes:
        parameters: of the search space.
        points: the configurations [N, P], each parameter scaled to [0, 1].
        scores: [N, epochs], in [0, 1].
    """

    parameters: Mapping[str, BaseDistribution]
    points: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path, parameters: Mapping[str, BaseDistribution]) -> Self:
        """Reads what `record` wrote."""
        recorded = json.loads(path.read_text(encoding="utf-8"))
        points = np.array([_scaled(parameters, curve["params"]) for curve in recorded])
        return cls(parameters, points, np.array([curve["scores"] for curve in recorded]))

    def curve(self, params: Mapping[str, Any], seed: int) -> list[float]:
        """The scores of a trial after each of its epochs.

        Args:
            params: of the trial.
            seed: of the noise.
        """
        distances = ((self.points - _scaled(self.parameters, params)) ** 2).sum(axis=1)
        nearest = np.argsort(distances)[:NEIGHBOURS]
        weights = 1 / (distances[nearest] + 1e-6)
        curve = weights @ self.scores[nearest] / weights.sum()
        noise = np.random.default_rng(seed).normal(0, NOISE, len(curve))
        return [float(score) for score in (curve + noise).clip(0, 1)]


def record(trials: Iterable[FrozenTrial], epochs: int, path: Path) -> int:
    """Writes the parameters and scores of the trials that have all epochs; returns how many they are."""
    curves = [
        {
            "params": trial.params,
            "scores": [round(trial.intermediate_values[epoch], 4) for epoch in range(1, epochs + 1)],
        }
        for trial in trials
        if len(trial.intermediate_values) == epochs
    ]
    path.write_text("[\n" + ",\n".join(json.dumps(curve) for curve in curves) + "\n]\n", encoding="utf-8")
    return len(curves)


def _scaled(parameters: Mapping[str, BaseDistribution], params: Mapping[str, Any]) -> NDArray[np.float64]:
    """A configuration as a point: each number scaled to [0, 1] over its range, logarithmically where it is drawn so."""
    return np.array([_scaled_number(kind, params[name]) for name, kind in parameters.items()])


def _scaled_number(kind: BaseDistribution, value: float) -> float:
    if not isinstance(kind, FloatDistribution | IntDistribution):
        raise TypeError(f"only numbers can be compared, but got {kind}")
    low, high = float(kind.low), float(kind.high)
    if kind.log:
        value, low, high = np.log(value), np.log(low), np.log(high)
    return float((value - low) / (high - low))
