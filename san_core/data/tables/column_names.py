"""The names that people give to the columns of a table of questions."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

QUESTION, ANSWER, IMAGE, ID = "question", "answer", "image", "id"
ANSWER_TYPE, QUESTION_TYPE, SPLIT = "answer_type", "question_type", "split"

KEY = "(key)"
"""Column of the keys, where a JSON file is an object of objects."""

_IMAGE_IDS = ("imageid", "imgid", "pictureid")

NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    QUESTION: (("question", "questiontext"), ("query",), ("sent", "text")),
    ANSWER: (("answer", "answers", "multiplechoiceanswer"), ("label", "labels", "groundtruth")),
    IMAGE: (
        ("image", "img", "picture", "photo"),
        ("imagefilename", "imagename", "imagefile", "imagepath", "imgname", "imgpath", "imgfile", "filename"),
        _IMAGE_IDS,
        ("images", "imgs", "pictures", "photos"),
    ),
    ID: (("questionid",), ("qid",), ("questionindex",), ("qaid",), ("id",)),
    ANSWER_TYPE: (("answertype",), ("contenttype",)),
    QUESTION_TYPE: (("questiontype",), ("contenttype",)),
    SPLIT: (("split", "datasplit"), ("setname", "subset", "partition"), ("phrasetype",)),
}
"""For each role the names, as `simplify` makes them; those of an earlier group come before those of a later one."""

_ANNOTATOR = re.compile(r"answer(\d{1,4})")
_SAME_NAME = re.compile(r" \(column \d+\)$")

_CACHE_SIZE = 1000

_SPLITS = {
    "train": "train training tr trainval trainset",
    "validation": "val valid validation validate dev development valset minival eval evaluation",
    "test": "test testing testset testdev teststd heldout",
}
_SPLIT_OF = {word: split for split, words in _SPLITS.items() for word in words.split()}


def simplify(name: str) -> str:
    """A column's name without capitals, blanks and signs: `Image_ID ` is `imageid`."""
    name = unicodedata.normalize("NFKC", _SAME_NAME.sub("", name)).casefold()
    return "".join(letter for letter in name if letter.isalnum())


def distinct(names: list[str]) -> list[str]:
    """The names of columns; those that several columns have say which column it is."""
    return [f"{name} (column {i})" if names.count(name) > 1 else name for i, name in enumerate(names, start=1)]


@lru_cache(_CACHE_SIZE)
def is_image(name: str) -> bool:
    """Whether a column of this name has pictures or their names."""
    return any(simplify(name) in group for group in NAMES[IMAGE])


@lru_cache(_CACHE_SIZE)
def is_question(name: str) -> bool:
    """Whether a column of this name has the questions."""
    return any(simplify(name) in group for group in NAMES[QUESTION])


def image_ids_beside(image: str, columns: Iterable[str]) -> str | None:
    """The column of the ids of pictures beside the column of pictures `image`; None if there is none."""
    return next((name for name in columns if name != image and simplify(name) in _IMAGE_IDS), None)


def annotator(name: str) -> int | None:
    """The number of the person whose answers a column has, such as 2 for `answer_2`; None for another column."""
    found = _ANNOTATOR.fullmatch(simplify(name))
    return int(found[1]) if found else None


def split_of_word(text: str) -> str | None:
    """The split that a word such as `val2014` or `Training` means; None for another word."""
    return _SPLIT_OF.get(re.sub(r"[\d\W_]+", "", text.casefold()))


def split_of_file(name: str) -> str | None:
    """The split that the name of a file says, as in `train-00000-of-00003.parquet` or `TextVQA_0.5.1_val.json`."""
    found = {split for word in re.split(r"[^A-Za-z]+", name) if (split := split_of_word(word))}
    return found.pop() if len(found) == 1 else None
