"""`python -m san_core.predict MODEL IMAGE "question"`: a trained network's answers."""

import argparse
from pathlib import Path

from san_core.checkpoint import load_model
from san_core.command_line import CommandLine, run_command
from san_core.data.images import load_pixels
from san_core.errors import InputError


def _parse() -> argparse.Namespace:
    parser = CommandLine("san_core.predict", "Answers a question about a picture with the five likeliest answers.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder written by tuning.retrain")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="any picture file")
    parser.add_argument("question", metavar="QUESTION", help="the question, in quotes")
    return parser.parse_args()


def main() -> None:
    """Prints the answers, one a line, with their probabilities."""
    arguments = _parse()
    if not arguments.question.strip():
        raise InputError("the question is empty; accepted: any words, in quotes")
    model = load_model(arguments.model)
    pixels = load_pixels(arguments.image, model.image_size)
    for answer in model.answer(pixels, arguments.question):
        print(f"{answer.probability:6.1%}  {answer.text}")


if __name__ == "__main__":
    run_command(main)
