"""easy-VQA: 5,000 images of one coloured shape, 48,248 questions, 13 answers.

It comes with the PyPI package `easy-vqa`, including the images.
"""

from pathlib import Path

import easy_vqa

from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError

FORMER_DEFAULTS = {"encoder": "efficientnet-lite0", "layer": "features", "grid": 4, "image_size": 128}
"""What earlier versions prepared these data with, if they were not told otherwise."""


def read() -> RawDataset:
    """Reads the data set with its official train and test split.

    By default the regions are those of an early layer, so that each sees a part of the picture and not the whole. Only
    then does the attention say where the shape is: see `benchmarks.attention`.

    Raises:
        InputError: if the installed package is damaged.
    """
    return RawDataset(
        name="easy-vqa",
        train=_questions("train", *easy_vqa.get_train_questions()),
        test=_questions("test", *easy_vqa.get_test_questions()),
        images={
            **_images("train", easy_vqa.get_train_image_paths()),
            **_images("test", easy_vqa.get_test_image_paths()),
        },
        image_size=128,
        layer="reduction_3",
        grid=8,
        training_defaults={
            "hidden_size": 128,
            "attention_size": 64,
            "batch_size": 128,
            "questions_per_image": 4,
            "epochs": 12,
            "schedule": "step",  # after 10 epochs at the whole rate, two at a tenth of it calm the weights
            "step_epochs": 10,
        },
    )


def _questions(split: str, texts: list[str], answers: list[str], images: list[int]) -> list[Question]:
    counts = [len(texts), len(answers), len(images)]
    if len(set(counts)) > 1:
        found = "{:,} questions, {:,} answers, {:,} images".format(*counts)
        raise InputError(f"the installed package easy-vqa is damaged: its {split} split has {found}; install it again")
    rows = zip(texts, answers, (f"{split}/{i}" for i in images), strict=True)
    return [Question(*row, id=f"{split}:{number}") for number, row in enumerate(rows)]


def _images(split: str, paths: dict[int, str]) -> dict[str, Path]:
    return {f"{split}/{i}": Path(path) for i, path in paths.items()}
