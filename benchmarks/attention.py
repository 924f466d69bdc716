"""`python -m benchmarks.attention MODEL`: how much of a model's attention is on the shape, on easy-VQA.

Each picture of easy-VQA shows one shape on a plain background, so its pixels are known. The attention of a region is
spread evenly over the region's pixels.
"""

import argparse

import numpy as np
from rich.table import Table

import san_core
from benchmarks.data import EASY_VQA, open_data
from benchmarks.output import add_output_options, output_results
from san_core.command_line import number, path, run_command
from san_core.data.images.reading import open_picture, to_pixels
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.prediction.attention_focus import Focus, find_shown
from san_core.prediction.trained_model import TrainedModel

QUESTIONS = 3000


def measure(model: TrainedModel, data: PreparedData, questions: int, seed: int = 0) -> Focus:
    """The attention of a model on what the pictures of validation questions show.

    Args:
        model: the model.
        data: data whose pictures have a plain background.
        questions: number of questions; all if the data have fewer.
        seed: seed of the random choice of the questions.

    Raises:
        InputError: if a picture cannot be read, or has no plain background.
    """
    asked = data.questions_of("validation")
    rows = np.sort(np.random.default_rng(seed).permutation(len(asked))[:questions])
    pictures = {key: open_picture(data.image_files[key]) for key in dict.fromkeys(asked[row].image for row in rows)}
    pixels = {key: to_pixels(picture, model.image_size) for key, picture in pictures.items()}
    replies = model.replies([(pixels[asked[row].image], asked[row].text) for row in rows], top=1)
    shown = {}
    for key, picture in pictures.items():
        found = find_shown(picture.image, *replies[0].attention.shape[1:])
        if found is None:
            raise InputError(f"picture {key} of {data.folder} has no plain background; accepted: such as easy-VQA's")
        shown[key] = found
    return Focus.of((shown[asked[row].image], reply.attention) for row, reply in zip(rows, replies, strict=True))


def main(arguments: list[str] | None = None) -> None:
    """Prints, for each hop, the attention on the shape relative to an even spread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=main.__doc__)
    add_output_options(parser)
    add = parser.add_argument
    add("model", type=path, help="model folder, such as runs/NAME/retrained/best")
    add("--data", type=path, default=EASY_VQA, help="prepared data (default: %(default)s, made if missing)")
    add(
        "--questions",
        type=number(int, at_least=1),
        default=QUESTIONS,
        help="validation questions (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    focus = measure(san_core.load(options.model), open_data(options.data), options.questions)
    table = Table("hop", "ratio", title=f"Attention on the shape, {focus.questions:,} validation questions")
    rows = {f"hop {hop}": ratio for hop, ratio in enumerate(focus.hops, start=1)}
    rows |= {"even spread": 1.0, "largest possible": focus.largest}
    for name, ratio in rows.items():
        table.add_row(name, f"{ratio:.2f}")
    output_results(options, [{"attention": name, "ratio": ratio} for name, ratio in rows.items()], [table])


if __name__ == "__main__":
    run_command(main)
