"""Reads pretrained word vectors from a text file (word2vec or GloVe format)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from san_core.data.problems import Problems
from san_core.data.vocabulary import PADDING, UNKNOWN
from san_core.errors import InputError
from san_core.files import read_large_text


def read_word_vectors(path: Path, words: Sequence[str], problems: Problems) -> NDArray[np.float32]:
    """Reads the vectors of the words, in the order of a `Vocabulary` of them.

    A line of the file is a word and its D numbers; the first line of word2vec (count and D) is skipped. Case is
    ignored, but a word in lower case has priority over the same word with capitals. Words that are not in the file, and
    the unknown word, get random vectors with the standard deviation of those found (seed 0). Padding gets zeros.

    Args:
        path: the text file, in UTF-8.
        words: words of the vocabulary, without padding and unknown.
        problems: problems found so far; lines that are not vectors, and the number of words without a vector, are
            added; and a note of how training uses them.

    Returns:
        Vectors [len(words) + 2, D].

    Raises:
        InputError: if the file cannot be read or has no vector for any of the words.
    """
    wanted = {word: row for row, word in enumerate(words, start=UNKNOWN + 1)}
    found = _read(path, wanted, problems)
    if not found:
        raise InputError(
            f"{path} has a vector for none of the {len(words)} words; accepted: lines of a word and numbers"
        )
    known = np.stack(list(found.values()))
    vectors = np.random.default_rng(0).normal(0, known.std(), (len(words) + UNKNOWN + 1, known.shape[1]))
    vectors[list(found)] = known
    vectors[PADDING] = 0
    problems.note(
        "the word vectors are used by --set embedding_init=pretrained, or where a search space has both choices"
    )
    if missing := len(words) - len(found):
        problems.add(
            "words without a pretrained vector, they start from a random one", path, f"{missing} of {len(words)}"
        )
    return vectors.astype(np.float32)


def _read(path: Path, wanted: dict[str, int], problems: Problems) -> dict[int, NDArray[np.float32]]:
    """Reads vectors by row, of the wanted words only, since the file may be larger than memory."""
    found: dict[int, NDArray[np.float32]] = {}
    exact: set[int] = set()
    size = 0
    for line, text in enumerate(read_large_text(path), start=1):
        word, *numbers = text.split() or [""]
        row = wanted.get(word.lower())
        skipped = row in exact or (row in found and word not in wanted) or (line == 1 and len(numbers) == 1)
        if row is None or skipped:
            continue
        vector = _parse(numbers)
        size = size or len(vector)
        if size and len(vector) == size:
            found[row] = vector
            if word in wanted:
                exact.add(row)
        else:
            problems.add("not a word vector, left out", f"{path} line {line}", f"{len(numbers)} fields after the word")
    return found


def _parse(numbers: Sequence[str]) -> NDArray[np.float32]:
    """Parses the numbers; the result is empty if one of them is not a finite number."""
    try:
        vector = np.array([float(number) for number in numbers], dtype=np.float32)
    except ValueError:
        return np.empty(0, np.float32)
    return vector if np.isfinite(vector).all() else np.empty(0, np.float32)
