"""Where the data sets that are known by name come from, for whoever is handed a model trained on one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """What is known of a data set.

    Attributes:
        pictures: what they show.
        language: of questions and answers.
        source: who made it, and where it is.
        terms: on which it may be used, as far as they are known here.
    """

    pictures: str
    language: str
    source: str
    terms: str


_THEIRS = "those named at the source; they were not looked into here"
_COCO = "photographs of everyday scenes (COCO 2014)"
_DAQUAR = Origin(
    "photographs of indoor scenes (NYU Depth v2)",
    "English",
    "Malinowski and Fritz, Max Planck Institute for Informatics, "
    "<https://datasets.d2.mpi-inf.mpg.de/mateusz14visual-turing/>",
    _THEIRS,
)
_VQA = Origin(_COCO, "English", "Antol et al. and Goyal et al., <https://visualqa.org>", _THEIRS)
_ORIGINS = {
    "easy-vqa": Origin(
        "drawings of 64 x 64 pixels with one coloured shape",
        "English, by a few templates",
        "Victor Zhou, <https://github.com/vzhou842/easy-VQA>, the package `easy-vqa`",
        "MIT licence",
    ),
    "daquar-all": _DAQUAR,
    "daquar-reduced": _DAQUAR,
    "coco-qa": Origin(
        _COCO,
        "English, made from captions by a program",
        "Ren et al., University of Toronto, <https://www.cs.toronto.edu/~mren/research/imageqa/data/cocoqa/>",
        _THEIRS,
    ),
    "vqa-v1": _VQA,
    "vqa-v2": _VQA,
}


def origin_of(name: str) -> Origin | None:
    """The origin of a data set by its name, which its convention may follow in brackets; None if it is not known."""
    return _ORIGINS.get(name.partition(" ")[0])
