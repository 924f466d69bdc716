"""A search of many trials, as a real one would have left it."""

import random

from optuna.trial import FrozenTrial

from results.run_folder import WORKER
from tests.results.journals import complete, failed, pruned

EPOCHS = 8


def many_trials(count: int) -> list[FrozenTrial]:
    """Trials with all parameters of the space, of which two ran at a time; every third complete, some failed."""
    draw = random.Random(0)
    trials = []
    for number in range(count):
        params = {
            "learning_rate": 10 ** draw.uniform(-5, -2),
            "momentum": draw.uniform(0, 0.99),
            "dropout": draw.uniform(0, 0.75),
            "embedding_size": 50 * draw.randint(2, 20),
        }
        scores = [0.3 + 0.05 * epoch + 0.2 * params["momentum"] + draw.uniform(0, 0.05) for epoch in range(EPOCHS)]
        rest = {"params": params, WORKER: f"worker {number % 2}", "minutes": (number // 2, number // 2 + 0.9)}
        if number % 50 == 49:
            trials.append(failed(*scores[:2], why="CUDA out of memory"))
        elif number % 3:
            trials.append(pruned(*scores[: 1 + number % 4], **rest))
        else:
            trials.append(complete(*scores, **rest))
    return trials
