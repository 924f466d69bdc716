"""Authors and content of the data sets, for the model cards of models trained on them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetCard:
    """Facts about a data set.

    Attributes:
        pictures: content of the images.
        language: language of the questions and answers.
        source: authors of the data set, and its web page.
        terms: terms of use, as far as they are known here.
    """

    pictures: str
    language: str
    source: str
    terms: str


_THEIRS = "those named at the source; they were not looked into here"
_COCO = "photographs of everyday scenes (COCO 2014)"
_DAQUAR = DatasetCard(
    "photographs of indoor scenes (NYU Depth v2)",
    "English",
    "Malinowski and Fritz, Max Planck Institute for Informatics, "
    "<https://datasets.d2.mpi-inf.mpg.de/mateusz14visual-turing/>",
    _THEIRS,
)
_VQA = DatasetCard(_COCO, "English", "Antol et al. and Goyal et al., <https://visualqa.org>", _THEIRS)
_CARDS = {
    "easy-vqa": DatasetCard(
        "drawings of 64 x 64 pixels with one coloured shape",
        "English, by a few templates",
        "Victor Zhou, <https://github.com/vzhou842/easy-VQA>, the package `easy-vqa`",
        "MIT licence",
    ),
    "daquar-all": _DAQUAR,
    "daquar-reduced": _DAQUAR,
    "coco-qa": DatasetCard(
        _COCO,
        "English, made from captions by a program",
        "Ren et al., University of Toronto, <https://www.cs.toronto.edu/~mren/research/imageqa/data/cocoqa/>",
        _THEIRS,
    ),
    "vqa-v1": _VQA,
    "vqa-v2": _VQA,
}


def dataset_card(name: str) -> DatasetCard | None:
    """Returns the card of a data set; None for an unknown one, such as the user's own.

    Args:
        name: name of the data set, as in `RawDataset.name`; a variant in brackets is ignored.
    """
    return _CARDS.get(name.partition(" ")[0])
