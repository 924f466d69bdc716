import re
from pathlib import Path

import numpy as np
import pytest

from san_core.data.problems import Problems
from san_core.data.word_vectors import read_word_vectors
from san_core.errors import InputError
from tests.san_core.data_sets import flaws

WORDS = ["cat", "dog", "2"]
LINES = ["the 9 9 9", "cat 1 2 3", "2 -1 0.5 1e-2", "dog 4 5 6"]
EXPECTED = [[1, 2, 3], [4, 5, 6], [-1, 0.5, 0.01]]


def _write(folder: Path, *lines: str) -> Path:
    path = folder / "vectors.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("header", [[], ["400000 3"], ["2 3"]], ids=["GloVe", "word2vec", "count is a word"])
def test_both_formats_give_each_word_its_vector(header: list[str], tmp_path: Path) -> None:
    problems = Problems(strict=True)
    vectors = read_word_vectors(_write(tmp_path, *header, *LINES), WORDS, problems)
    assert (vectors.shape, vectors.dtype) == ((5, 3), np.float32)
    np.testing.assert_allclose(vectors[2:], EXPECTED)
    np.testing.assert_array_equal(vectors[0], 0)  # padding
    assert np.count_nonzero(vectors[1]) == 3  # the unknown word


def test_missing_words_start_from_vectors_of_the_spread_of_the_others(tmp_path: Path) -> None:
    known = np.random.default_rng(1).normal(0, 0.3, (400, 50))
    lines = [f"w{i} {' '.join(map(str, row))}" for i, row in enumerate(known)]
    problems = Problems()
    words = [f"w{i}" for i in range(0, 800, 2)]
    path = _write(tmp_path, *lines)
    vectors = read_word_vectors(path, words, problems)
    np.testing.assert_allclose(vectors[2:202], known[::2], rtol=1e-6)
    assert vectors[202:].std() == pytest.approx(0.3, rel=0.03)
    kind = "words without a pretrained vector, they start from a random one"
    assert flaws(problems) == [f"{path}: {kind} (200 of 400)"]
    np.testing.assert_array_equal(vectors, read_word_vectors(path, words, Problems()))


def test_case_does_not_matter_but_lower_case_goes_first(tmp_path: Path) -> None:
    lines = ["US 9 9", "us 1 1", "Us 8 8", "Paris 2 2", "PARIS 7 7"]
    vectors = read_word_vectors(_write(tmp_path, *lines), ["us", "paris"], Problems(strict=True))
    np.testing.assert_array_equal(vectors[2:], [[1, 1], [2, 2]])


def test_first_vector_of_a_word_counts(tmp_path: Path) -> None:
    lines = ["at 1 1", "at 2 2", "at name@domain.com 3 3"]  # the last is as in GloVe's largest file
    vectors = read_word_vectors(_write(tmp_path, *lines), ["at"], Problems(strict=True))
    np.testing.assert_array_equal(vectors[2], [1, 1])


@pytest.mark.parametrize("line", ["dog 4 5", "dog 4 5 6 7", "dog 4 x 6", "dog", "dog 4 nan 6", "dog 4 5 inf"])
def test_line_that_is_no_vector_is_told_and_left_out(line: str, tmp_path: Path) -> None:
    path = _write(tmp_path, "cat 1 2 3", line)
    problems = Problems()
    vectors = read_word_vectors(path, ["cat", "dog"], problems)
    np.testing.assert_array_equal(vectors[2], [1, 2, 3])
    assert np.isfinite(vectors).all()
    fields = len(line.split()) - 1
    assert flaws(problems)[0] == f"{path} line 2: not a word vector, left out ({fields} fields after the word)"
    with pytest.raises(InputError, match="line 2: not a word vector"):
        read_word_vectors(path, ["cat", "dog"], Problems(strict=True))


def test_odd_bytes_and_empty_lines_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"\xff\xfe 9 9 9\n\ncaf\xe9 9 9 9\ncat 1 2 3\n")
    np.testing.assert_array_equal(read_word_vectors(path, ["cat"], Problems(strict=True))[2], [1, 2, 3])


@pytest.mark.parametrize("lines", [[], ["fish 1 2 3"], ["cat"]])
def test_file_without_any_of_the_words_is_refused(lines: list[str], tmp_path: Path) -> None:
    path = _write(tmp_path, *lines)
    expected = f"{path} has a vector for none of the 2 words; accepted: lines of a word and numbers"
    with pytest.raises(InputError, match=re.escape(expected)):
        read_word_vectors(path, ["cat", "dog"], Problems())


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=re.escape(f"{path} cannot be read: ")):
            read_word_vectors(path, WORDS, Problems())
