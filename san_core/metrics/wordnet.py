"""WordNet's nouns: the senses of a word, and the similarity of two senses.

Reads the three files it needs, in the format of wndb(5WN), which is the same for WordNet 3.0 and 3.1. nltk also has a
reader, but it opens only nltk's own copy, and takes milliseconds for each of the thousands of pairs of words that the
answers of a data set make.
"""

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from san_core.errors import InputError

Folder = Path | zipfile.Path

FOLDER_VARIABLE = "SAN_WORDNET"
_DEBIAN = Path("/usr/share/wordnet")
_FILES = ("index.noun", "data.noun", "noun.exc")

_IS_A = ("@", "@i")  # pointers to what a sense is a kind of, or an instance of
_PLURALS = {
    "s": "",
    "ses": "s",
    "ves": "f",
    "xes": "x",
    "zes": "z",
    "ches": "ch",
    "shes": "sh",
    "men": "man",
    "ies": "y",
}


def find_wordnet() -> Folder:
    """Finds the folder of WordNet's files.

    If the environment variable SAN_WORDNET is set, only that folder is searched. Otherwise Debian's folder and the
    corpus downloaded by nltk, unpacked or as a zip file, are searched.

    Raises:
        InputError: if WordNet is not found; it lists the folders searched and how to install WordNet.
    """
    searched = []
    for folder in _candidates():
        if all((folder / name).is_file() for name in _FILES):
            return folder
        searched.append(str(folder))
    raise InputError(
        f"WUPS needs WordNet's files {', '.join(_FILES)}, which are not in {', '.join(searched)}; install Debian's "
        f"package wordnet-base, or `pip install nltk` and `python -m nltk.downloader wordnet`, "
        f"or set {FOLDER_VARIABLE} to the folder they are in"
    )


def _candidates() -> Iterator[Folder]:
    """Folders to search, in this order."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        yield Path(chosen)
        return
    yield _DEBIAN
    for root in _nltk_roots():
        yield root / "corpora" / "wordnet"
        if zipfile.is_zipfile(packed := root / "corpora" / "wordnet.zip"):
            yield zipfile.Path(packed, "wordnet/")


def _nltk_roots() -> list[Path]:
    """Folders of nltk's downloads; none if nltk is not installed."""
    try:
        from nltk import data  # optional, and slow to import
    except ImportError:
        return []
    return [Path(root) for root in data.path]


@dataclass(frozen=True, eq=False)
class Sense:
    """One meaning of a noun.

    Attributes:
        name: first word of the sense, and the number of the sense among those of the word, such as chair.n.01.
        steps: fewest steps up to the sense itself and to each of its hypernyms, by offset.
        min_depth, max_depth: smallest and largest number of steps up to the root.
    """

    name: str
    steps: dict[int, int]
    min_depth: int
    max_depth: int


class Nouns:
    """The nouns of one WordNet.

    Args:
        folder: folder with index.noun, data.noun and noun.exc.
    """

    def __init__(self, folder: Folder) -> None:
        self._data = (folder / "data.noun").read_bytes()
        index = (folder / "index.noun").read_text(encoding="utf-8")
        self._entries = {word: entry for word, _, entry in (line.partition(" ") for line in index.splitlines()) if word}
        exceptions = (folder / "noun.exc").read_text(encoding="utf-8")
        self._irregular = {form: bases for form, *bases in map(str.split, exceptions.splitlines())}
        self._senses: dict[int, Sense] = {}  # by offset

    def senses(self, word: str) -> list[Sense]:
        """The senses of a word, singular or plural, with `_` or spaces inside; none if it is not in WordNet."""
        word = word.lower().replace(" ", "_")
        forms = self._irregular.get(word) or [
            word.removesuffix(plural) + singular for plural, singular in _PLURALS.items() if word.endswith(plural)
        ]
        return [self._sense(offset) for form in dict.fromkeys([word, *forms]) for offset in self._offsets(form)]

    def similarity(self, one: Sense, other: Sense) -> float:
        """The Wu-Palmer similarity of two senses, in [0, 1].

        2 d / (2 d + steps from one to c + steps from the other to c), where c is the deepest common hypernym and d the
        number of senses from c to the root, both included (Wu and Palmer, Verbs Semantics and Lexical Selection, ACL
        1994). 0 if there is no common hypernym. Where there are several paths, the rules are those of nltk, with which
        published WUPS scores were computed: c is the common hypernym with the largest `min_depth`; of several, `one`
        if it is among them, otherwise the first by name; d counts the longest path of c.
        """
        shared = [self._senses[offset] for offset in one.steps.keys() & other.steps.keys()]
        if not shared:
            return 0.0
        depth = max(sense.min_depth for sense in shared)
        deepest = [sense for sense in shared if sense.min_depth == depth]
        common = one if one in deepest else min(deepest, key=lambda sense: sense.name)
        d = common.max_depth + 1
        return 2 * d / (2 * d + _steps_between(one, common) + _steps_between(other, common))

    def _offsets(self, word: str) -> list[int]:
        """Offsets of the word's senses in data.noun, most frequent sense first."""
        if (entry := self._entries.get(word)) is None:
            return []
        fields = entry.split()  # part of speech, number of senses, ..., an offset for each sense
        return [int(offset) for offset in fields[-int(fields[1]) :]]

    def _sense(self, offset: int) -> Sense:
        """The sense at an offset of data.noun; it is read once."""
        if offset not in self._senses:
            self._senses[offset] = self._read(offset)
        return self._senses[offset]

    def _read(self, offset: int) -> Sense:
        """Reads a sense and all its hypernyms."""
        fields = self._data[offset : self._data.index(b"\n", offset)].decode().split()
        word = fields[4].lower()
        end_of_words = 4 + 2 * int(fields[3], 16)  # each followed by its lexical id
        pointers = fields[end_of_words + 1 : end_of_words + 1 + 4 * int(fields[end_of_words])]
        hypernyms = [
            self._sense(int(target))
            for kind, target in zip(pointers[::4], pointers[1::4], strict=True)
            if kind in _IS_A
        ]
        steps = {offset: 0}
        for parent in hypernyms:
            for ancestor, count in parent.steps.items():
                steps[ancestor] = min(count + 1, steps.get(ancestor, count + 1))
        return Sense(
            name=f"{word}.n.{self._offsets(word).index(offset) + 1:02}",
            steps=steps,
            min_depth=min((parent.min_depth + 1 for parent in hypernyms), default=0),
            max_depth=max((parent.max_depth + 1 for parent in hypernyms), default=0),
        )


def _steps_between(one: Sense, other: Sense) -> int:
    """The fewest steps from one up to a common hypernym and down to the other."""
    return min(one.steps[offset] + other.steps[offset] for offset in one.steps.keys() & other.steps.keys())
