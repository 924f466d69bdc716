"""A data set as its authors publish it, before it is prepared: what every reader returns."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from san_core.data.answers.forms import answer_form
from san_core.data.questions import Question


@dataclass(frozen=True)
class RawDataset:
    """A data set as a reader returns it.

    Attributes:
        name: the data set's name, with the variant in brackets where there are several.
        train: training questions; the validation split is taken from them, unless there is one.
        test: test questions with answers; empty where there are none.
        images: the file of each image key.
        not_found: why an image was not found, by its key; `images` then has the file that it should be.
        image_size: default edge in pixels that images are resized to.
        layer: default layer of the default image encoder; None takes its last.
        grid: default number of regions along an edge, for that layer; None takes the size of its output.
        training_defaults: `TrainingConfig` fields that suit the size of the data set.
        unanswered: questions without answers, to be answered by a trained model.
        metrics: names of the metrics reported in the literature, the main one first.
        top_answers: default size of the answer vocabulary; None takes every training answer.
        validation: the data set's own validation questions; None where they are taken from `train`.
        answer_key: answers with an equal key are one answer; `as_written` where published scores tell them apart.
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
    answer_key: Callable[[str], str] = answer_form
    validation: Sequence[Question] | None = None
    layer: str | None = None
    grid: int | None = None

    @property
    def learned_from(self) -> Sequence[Question]:
        """Training and validation questions: what retraining learns from, and what makes the vocabularies."""
        return [*self.train, *(self.validation or ())]

    @property
    def questions(self) -> Sequence[Question]:
        """The questions of all splits."""
        return [*self.learned_from, *self.test, *self.unanswered]


def leave_out_images(dataset: RawDataset, images: Container[str]) -> RawDataset:
    """A data set without some of its images, given by their keys, and without the questions about them."""

    def about_others(questions: Sequence[Question]) -> Sequence[Question]:
        return [question for question in questions if question.image not in images]

    return replace(
        dataset,
        train=about_others(dataset.train),
        validation=None if dataset.validation is None else about_others(dataset.validation),
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
class TableFiles:
    """The files of the user's own data in tables, and how to read them.

    Attributes:
        files: tables; a column says the split of each row, or the name of each file does; else all are for training.
            A folder stands for the tables in it.
        splits: tables of one split each: `train`, `validation`, `test`.
        images: folder of the images; None where their names are relative to the table, or they are in it.
        image_name: Python format that makes a file name of an `image_id`; None to search.
        columns: the columns that the user has named, by role, see `san_core.data.tables.columns`.
        embedded: folder for pictures that are in the tables themselves.
    """

    files: Sequence[Path] = ()
    splits: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    images: Path | None = None
    image_name: str | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    embedded: Path = Path("data/table-pictures")


@dataclass(frozen=True)
class Location:
    """Where the files of a data set are, and which of its questions to read.

    Attributes:
        root: the data set's folder; None for a data set that comes with a Python package.
        train, test: files of the user's own data in the VQA layout.
        single_answers: leave out questions whose answer is several things (DAQUAR).
        table: the user's own tables.
    """

    root: Path | None = None
    train: VQAFiles | None = None
    test: VQAFiles | None = None
    single_answers: bool = False
    table: TableFiles | None = None
