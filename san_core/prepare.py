"""`python -m san_core.prepare NAME`: prepares a data set for training."""

import argparse
from pathlib import Path

from san_core.command_line import CommandLine, number, run_command
from san_core.data.prepare import READERS, Options, prepare
from san_core.models.image_encoder import ARCHITECTURES


def _parse() -> argparse.Namespace:
    parser = CommandLine("san_core.prepare", "Encodes a data set's images once, for all trials to train from.")
    add = parser.add_argument
    add("name", metavar="NAME", help=f"data set: {', '.join(READERS)}")
    add("--encoder", default="efficientnet-lite0", help=f"image encoder: {', '.join(ARCHITECTURES)}")
    add("--image-size", type=number(int, at_least=1), help="edge in pixels (default: what suits the data set)")
    add("--fine-tune", action="store_true", help="keep pixels, so that training trains the encoder too")
    add("--seed", type=number(int, at_least=0), default=0, help="of the cut of validation out of train")
    add("--out", type=Path, help="folder to write (default: data/NAME)")
    return parser.parse_args()


def main() -> None:
    """Prepares, or finds prepared, and prints what there is."""
    arguments = _parse()
    options = Options(arguments.encoder, arguments.image_size, arguments.fine_tune, arguments.seed)
    data = prepare(arguments.name, arguments.out or Path("data") / arguments.name, options)
    counts = ", ".join(f"{count:,} {split}" for split, count in data.manifest["counts"].items())
    print(f"{data.folder}: {len(data.images):,} images; questions: {counts}; {len(data.answers)} answers")
    print(f"search on it: python -m tuning.search --data {data.folder}")


if __name__ == "__main__":
    run_command(main)
