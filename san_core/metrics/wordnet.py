"""WordNet's nouns: the senses of a word, and how alike two senses are.

Reads the three files it needs, in the format of wndb(5WN), which WordNet 3.0 and 3.1 share. nltk could do it,
but its reader opens only nltk's own copy and takes milliseconds for a pair of words, of which a data set's
answers make thousands.
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
    """The folder of WordNet's files.

    The one in the environment variable SAN_WORDNET counts alone where it is set. Otherwise it is Debian's, or
    the corpus that nltk downloaded, unpacked or not.

    Raises:
        InputError: if WordNet is not there; names the places and how to install it.
    """
    searched = []
    for folder in _places():
        if all((folder / name).is_file() for name in _FILES):
            return folder
        searched.append(str(folder))
    raise InputError(
        f"WUPS needs WordNet's files {', '.join(_FILES)}, which are not in {', '.join(searched)}; install Debian's "
        f"package wordnet-base, or `pip install nltk` and `python -m nltk.downloader wordnet`, "
        f"or set {FOLDER_VARIABLE} to the folder they are in"
    )


def _places() -> Iterator[Folder]:
    """Where to look, best first."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        yield Path(chosen)
        return
    yield _DEBIAN
    for root in _nltk_roots():
        yield root / "corpora" / "wordnet"
        if zipfile.is_zipfile(packed := root / "corpora" / "wordnet.zip"):
            yield zipfile.Path(packed, "wordnet/")


def _nltk_roots() -> list[Path]:
    """Where nltk keeps what it downloads; none where it is not installed."""
    try:
        from nltk import data  # optional, and slow to import
    except ImportError:
        return []
    return [Path(root) for root in data.path]


@dataclass(frozen=True, eq=False)
class Sense:
    """One meaning of a noun.

    Attributes:
        name: its first word, and which of that word's senses it is, such as chair.n.01.
        steps: the offset of itself and of everything it is a kind of, with the fewest steps up to there.
        min_depth, max_depth: the fewest and the most steps up to the root.
    """

    name: str
    steps: dict[int, int]
    min_depth: int
    max_depth: int


class Nouns:
    """The nouns of one WordNet.

    Args:
        folder: holds index.noun, data.noun and noun.exc.
    """

    def __init__(self, folder: Folder) -> None:
        self._data = (folder / "data.noun").read_bytes()
        index = (folder / "index.noun").read_text(encoding="utf-8")
        self._entries = {word: entry for word, _, entry in (line.partition(" ") for line in index.splitlines()) if word}
        exceptions = (folder / "noun.exc").read_text(encoding="utf-8")
        self._irregular = {form: bases for form, *bases in map(str.split, exceptions.splitlines())}
        self._senses: dict[int, Sense] = {}  # by offset

    def senses(self, word: str) -> list[Sense]:
        """The meanings of a word, singular or plural, with `_` or a space within; none if WordNet lacks it."""
        word = word.lower().replace(" ", "_")
        forms = self._irregular.get(word) or [
            word.removesuffix(plural) + singular for plural, singular in _PLURALS.items() if word.endswith(plural)
        ]
        return [self._sense(offset) for form in dict.fromkeys([word, *forms]) for offset in self._offsets(form)]

    def similarity(self, one: Sense, other: Sense) -> float:
        """The Wu-Palmer similarity of two meanings, in (0, 1].

        2 d / (2 d + steps from one to c + steps from the other to c), where c is the deepest of all they both
        are kinds of, and d how many there are from c to the root, both included (Wu and Palmer, Verbs Semantics
        and Lexical Selection, ACL 1994). Where paths differ in length, c is the one with the longest of
        shortest paths to the root, `one` itself if it is among several, else the first by name; d counts c's
        longest path. That is how nltk does it, by which WUPS is published.
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
        """Where the word's senses are in data.noun, most frequent first."""
        if (entry := self._entries.get(word)) is None:
            return []
        fields = entry.split()  # part of speech, number of senses, ..., an offset for each sense
        return [int(offset) for offset in fields[-int(fields[1]) :]]

    def _sense(self, offset: int) -> Sense:
        """The sense at an offset of data.noun."""
        if offset not in self._senses:
            self._senses[offset] = self._read(offset)
        return self._senses[offset]

    def _read(self, offset: int) -> Sense:
        """Reads a sense, and all above it."""
        fields = self._data[offset : self._data.index(b"\n", offset)].decode().split()
        word = fields[4].lower()
        end_of_words = 4 + 2 * int(fields[3], 16)  # each with a number that tells homographs apart
        pointers = fields[end_of_words + 1 : end_of_words + 1 + 4 * int(fields[end_of_words])]
        above = [
            self._sense(int(target))
            for kind, target in zip(pointers[::4], pointers[1::4], strict=True)
            if kind in _IS_A
        ]
        steps = {offset: 0}
        for parent in above:
            for ancestor, count in parent.steps.items():
                steps[ancestor] = min(count + 1, steps.get(ancestor, count + 1))
        return Sense(
            name=f"{word}.n.{self._offsets(word).index(offset) + 1:02}",
            steps=steps,
            min_depth=min((parent.min_depth + 1 for parent in above), default=0),
            max_depth=max((parent.max_depth + 1 for parent in above), default=0),
        )


def _steps_between(one: Sense, other: Sense) -> int:
    """The fewest steps from one up to something shared, and down to the other."""
    return min(one.steps[offset] + other.steps[offset] for offset in one.steps.keys() & other.steps.keys())
