import io
import random
import shutil
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, TextIO

import pytest

from san_core.errors import InputError
from san_core.metrics import wordnet
from san_core.metrics.wordnet import Nouns, Sense, find_wordnet
from tests.san_core.small_wordnet import SENSES, write_wordnet

if TYPE_CHECKING:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader


def _sense(nouns: Nouns, name: str) -> Sense:
    word = name.partition(".")[0]
    return next(sense for sense in nouns.senses(word) if sense.name == name)


@pytest.fixture
def small(tmp_path: Path) -> Nouns:
    return Nouns(write_wordnet(tmp_path / "wordnet", SENSES))


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        # They share a seat, 5 deep. From the statue that is 1 step, from the chair too.
        ("statue.n.01", "chair.n.01", 2 * 5 / (2 * 5 + 1 + 1)),
        # Both are 1 step below alpha and omega, whose shortest paths to the root are 1 step: alpha is first by name.
        ("twig.n.01", "leaf.n.01", 2 * 2 / (2 * 2 + 1 + 1)),
        # The stub is as near to the root as alpha, which is above it. Asked first it is what they share: 3 deep, by
        # its longest path. Asked second it is alpha, 2 deep: 1 step from the stub, 2 from the bud.
        ("stub.n.01", "bud.n.01", 2 * 3 / (2 * 3 + 0 + 1)),
        ("bud.n.01", "stub.n.01", 2 * 2 / (2 * 2 + 2 + 1)),
    ],
)
def test_similarity_where_paths_to_the_root_differ(small: Nouns, one: str, other: str, score: float) -> None:
    assert small.similarity(_sense(small, one), _sense(small, other)) == pytest.approx(score)


def test_steps_may_go_past_what_is_shared(tmp_path: Path) -> None:
    # root - a - b - c - p - q - r - s - x, and x straight under the root; y under c
    senses = {number: (word, (number - 1,) if number else ()) for number, word in enumerate(["root", *"abcpqrs"])}
    nouns = Nouns(write_wordnet(tmp_path / "w", {**senses, 8: ("x", (7, 0)), 9: ("y", (3,))}))
    # They share c, 4 deep, which is 5 steps up from x, but by way of the root 1 up and 3 down.
    assert nouns.similarity(_sense(nouns, "x.n.01"), _sense(nouns, "y.n.01")) == pytest.approx(8 / (8 + 4 + 1))


# Where WordNet is


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without WordNet, nltk and the variable; its Debian folder would be the path given."""
    monkeypatch.delenv("SAN_WORDNET", raising=False)
    monkeypatch.setattr(wordnet, "_DEBIAN", tmp_path / "debian")
    monkeypatch.setitem(sys.modules, "nltk", None)
    return tmp_path / "debian"


def _pretend_nltk(monkeypatch: pytest.MonkeyPatch, *roots: Path) -> None:
    monkeypatch.setitem(sys.modules, "nltk", SimpleNamespace(data=SimpleNamespace(path=[str(root) for root in roots])))


def test_missing_wordnet_is_said_in_one_line_with_what_to_do(nowhere: Path) -> None:
    with pytest.raises(InputError) as raised:
        find_wordnet()
    message = str(raised.value)
    assert "\n" not in message
    for part in [f"not in {nowhere};", "index.noun", "wordnet-base", "pip install nltk", "SAN_WORDNET"]:
        assert part in message
    assert "python -m nltk.downloader wordnet" in message


def test_missing_wordnet_names_nltks_places_too(nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_nltk(monkeypatch, tmp_path / "one", tmp_path / "two")
    places = [nowhere, tmp_path / "one/corpora/wordnet", tmp_path / "two/corpora/wordnet"]
    with pytest.raises(InputError, match="which are not in " + ", ".join(map(str, places)) + ";"):
        find_wordnet()


def test_folder_of_the_variable_counts_alone(nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wordnet(nowhere, SENSES)
    assert find_wordnet() == nowhere
    chosen = tmp_path / "chosen"
    monkeypatch.setenv("SAN_WORDNET", str(chosen))
    with pytest.raises(InputError, match=f"not in {chosen};"):
        find_wordnet()
    write_wordnet(chosen, SENSES)
    assert find_wordnet() == chosen


def test_folder_that_lacks_a_file_is_no_wordnet(nowhere: Path) -> None:
    write_wordnet(nowhere, SENSES)
    (nowhere / "noun.exc").unlink()
    with pytest.raises(InputError, match=r"noun\.exc"):
        find_wordnet()


@pytest.mark.usefixtures("nowhere")
def test_corpus_that_nltk_downloaded_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_nltk(monkeypatch, tmp_path / "one", tmp_path / "two")
    folder = write_wordnet(tmp_path / "two/corpora/wordnet", SENSES)
    assert find_wordnet() == folder


@pytest.mark.usefixtures("nowhere")
def test_corpus_that_nltk_left_packed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_nltk(monkeypatch, tmp_path)
    folder = write_wordnet(tmp_path / "corpora/wordnet", SENSES)
    with zipfile.ZipFile(tmp_path / "corpora/wordnet.zip", "w") as packed:
        for file in folder.iterdir():
            packed.write(file, f"wordnet/{file.name}")
    shutil.rmtree(folder)
    nouns = Nouns(find_wordnet())
    lamp, table = nouns.senses("lamp") + nouns.senses("tables")
    assert nouns.similarity(lamp, table) == pytest.approx(2 * 3 / (4 + 5))


# WordNet itself, against nltk


@pytest.fixture(scope="module")
def real() -> Nouns:
    try:
        return Nouns(find_wordnet())
    except InputError as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="module")
def theirs(real: Nouns) -> Iterator["WordNetCorpusReader"]:  # noqa: ARG001  (skips first where WordNet is absent)
    """nltk's reader of the same files."""
    nltk = pytest.importorskip("nltk")
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """Takes a folder without lexnames, which play no part in similarity, and without nltk's own copy."""

        def open(self, file: str) -> TextIO:
            names = "".join(f"{number:02} name 1\n" for number in range(45))
            return io.StringIO(names) if file == "lexnames" else super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """No mapping between versions."""

        def get_version(self) -> str:
            return "3.0"  # whichever: only 1.6 is special, and asking the files takes most of the time

    folder = find_wordnet()
    if not isinstance(folder, Path):
        pytest.skip("nltk's own reader is compared on a folder, but WordNet is in a zip file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [*nltk.data.path, str(folder)])  # it opens nothing elsewhere
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other languages, which are not there
            reader = Reader(str(folder), None)
        yield reader


def _words(nouns: Nouns) -> list[str]:
    """Irregular, regular and unchanged words, and some of all nouns."""
    seen = ["chairs", "men", "geese", "boxes", "dishes", "ladies", "knives", "glasses", "buses", "garbage_bin"]
    seen += ["chef", "fireman", "red", "blue", "two", "cook", "line", "head"]
    return seen + random.Random(0).sample(sorted(nouns._entries), 400)


def test_senses_are_those_nltk_finds(real: Nouns, theirs: "WordNetCorpusReader") -> None:
    for word in _words(real):
        expected = [(sense.name(), sense.min_depth(), sense.max_depth()) for sense in theirs.synsets(word, "n")]
        assert [(sense.name, sense.min_depth, sense.max_depth) for sense in real.senses(word)] == expected, word


def test_similarities_are_nltks_to_the_last_bit(real: Nouns, theirs: "WordNetCorpusReader") -> None:
    names = [sense.name for word in _words(real) for sense in real.senses(word)]
    drawn = random.Random(1)
    pairs = [(drawn.choice(names), drawn.choice(names)) for _ in range(3000)]
    pairs += [(one, other) for one in names[:40] for other in names[:40]]
    pairs += [("masefield.n.01", "poplar_bluff.n.01"), ("bahai.n.01", "bottomland.n.01")]  # steps past what is shared
    for one, other in pairs:
        expected = theirs.synset(one).wup_similarity(theirs.synset(other))
        assert real.similarity(_sense(real, one), _sense(real, other)) == expected, (one, other)
