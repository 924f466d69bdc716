"""`python -m benchmarks.precisions`: compares the scores of training in bfloat16 and in float32."""

import argparse
import math
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from san_core.command_line import path, run_command
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import Training


def final_score(data: PreparedData, *, precision: str, seed: int, epochs: int) -> float:
    """Validation score after training with the defaults of the data set."""
    changes = {"precision": precision, "seed": seed, "epochs": epochs}
    training = Training(TrainingConfig.from_dict({**data.training_defaults, **changes}), data)
    score = math.nan
    while not training.finished:
        result = training.run_epoch()
        score = math.nan if result.score is None else result.score
    return score


def main(arguments: list[str] | None = None) -> None:
    """Trains with several seeds in each precision, and prints the validation scores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precisions", description=main.__doc__)
    parser.add_argument("--data", type=path, default=Path("data/easy-vqa"), help="prepared data (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="in each precision, >= 2 (default: 5)")
    parser.add_argument("--epochs", type=int, default=4, help="of each training (default: 4)")
    options = parser.parse_args(arguments)
    data = PreparedData.open(options.data)
    table = Table("precision", "mean", "standard deviation (points)", "lowest", "highest")
    for precision in ("float32", "bfloat16"):
        scores = [
            final_score(data, precision=precision, seed=seed, epochs=options.epochs) for seed in range(options.seeds)
        ]
        ends = f"{min(scores):.2%}", f"{max(scores):.2%}"
        table.add_row(precision, f"{statistics.mean(scores):.2%}", f"{100 * statistics.stdev(scores):.2f}", *ends)
    Console().print(table)


if __name__ == "__main__":
    run_command(main)
