"""A data set as its authors publish it, before it is prepared: what every reader returns."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from san_core.data.questions import Question


@dataclass(frozen=True)
class RawDataset:
    """A data set as a reader returns it.

    Attributes:
        name: the data set's name, with the variant in brackets where there are several.
        train: training questions; the validation split is taken from them.
        test: test questions with answers; empty where there are none.
        images: the file of each image key.
        not_found: why an image was not found, by its key; `images` then has the file that it should be.
        image_size: default edge in pixels that images are resized to.
        training_defaults: `TrainingConfig` fields that suit the size of the data set.
        unanswered: questions without answers, to be answered by a trained model.
        metrics: names of the metrics reported in the literature, the main one first.
        top_answers: default size of the answer vocabulary; None takes every training answer.
    """

    name: str
    train: Sequence[Question]
    test: Sequence[Question]
    images: Mapping[str, Path]
    image_size: int = 448
    training_defaults: Mapping[str, float | int | str] = field(default_factory=dict)
    unanswered: Sequence[Question] = ()
    metrics: Sequence[str] = ("accuracy",)
    top_answers: int | None = None
    not_found: Mapping[str, str] = field(default_factory=dict)


def leave_out_images(dataset: RawDataset, images: Container[str]) -> RawDataset:
    """A data set without some of its images, given by their keys, and without the questions about them."""

    def about_others(questions: Sequence[Question]) -> Sequence[Question]:
        return [question for question in questions if question.image not in images]

    return replace(
        dataset,
        train=about_others(dataset.train),
        test=about_others(dataset.test),
        unanswered=about_others(dataset.unanswered),
        images={key: path for key, path in dataset.images.items() if key not in images},
    )


@dataclass(frozen=True)
class VQAFiles:
    """The files of one split in the official VQA layout.

    Attributes:
        questions: JSON file with a list `questions` of objects with question_id, image_id and question.
        annotations: JSON file with a list `annotations`; None where the questions have no answers.
        images: folder of the images.
        image_name: file name of an image: a Python format such as `COCO_val2014_{image_id:012d}.jpg`; None to search
            for what the questions name, see `ImageFolder`.
    """

    questions: Path
    annotations: Path | None
    images: Path
    image_name: str | None = None


@dataclass(frozen=True)
class Location:
    """Where the files of a data set are, and which of its questions to read.

    Attributes:
        root: the data set's folder; None for a data set that comes with a Python package.
        train, test: files of the user's own data in the VQA layout.
        single_answers: leave out questions whose answer is several things (DAQUAR).
    """

    root: Path | None = None
    train: VQAFiles | None = None
    test: VQAFiles | None = None
    single_answers: bool = False
