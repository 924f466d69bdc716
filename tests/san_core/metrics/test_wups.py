from collections.abc import Iterator
from pathlib import Path

import pytest

from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.metrics import get_metric, wups
from san_core.metrics.wordnet import find_wordnet
from tests.san_core.small_wordnet import SENSES, write_wordnet


def _forget() -> None:
    for remembered in (wups.nouns, wups._wup, wups._similarity_of_answers):
        remembered.cache_clear()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """Similarities in one test's WordNet are not the next one's."""
    _forget()
    yield
    _forget()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAN_WORDNET", str(write_wordnet(tmp_path / "wordnet", SENSES)))


def _wups(predicted: str, right: str, threshold: float = 0.0) -> float:
    return wups.wups(predicted, Question("?", right, "image"), threshold=threshold)


@pytest.mark.parametrize(
    ("predicted", "right", "score"),
    [  # 2 x depth of what they share / (depth of one + depth of the other), the root's depth being 1
        ("chair", "sofa", 2 * 5 / (6 + 6)),
        ("chair", "couch", 2 * 5 / (6 + 6)),
        ("sofa", "couch", 1.0),
        ("sofa", "table", 2 * 4 / (6 + 5)),
        ("table", "lamp", 2 * 3 / (5 + 4)),
        ("chair", "seat", 2 * 5 / (6 + 5)),
        ("entity", "dog", 2 * 1 / (1 + 5)),
        ("chair", "dog", 2 * 3 / (4 + 5)),  # the person is closer than the furniture
        ("chairperson", "chair", 1.0),
        ("lamp", "void", 0.0),
    ],
)
@pytest.mark.usefixtures("small")
def test_similarity_is_that_of_the_closest_senses(predicted: str, right: str, score: float) -> None:
    assert _wups(predicted, right) == pytest.approx(score)
    assert _wups(right, predicted) == pytest.approx(score)


@pytest.mark.parametrize(
    ("predicted", "right", "score"),
    [
        ("dogs", "dog", 1.0),
        ("geese", "goose", 1.0),
        ("foxes", "fox", 1.0),
        ("DOG", "dog", 1.0),
        ("garbage bin", "garbage_bin", 1.0),
        ("garbage_bin", "lamp", 2 * 3 / (4 + 4)),
        ("garbage bins", "lamps", 2 * 3 / (4 + 4)),
        ("floor_mat", "lamp", 0.0),
        ("lamp", "floor_mat", 0.0),
        ("floor_mat", "floor_mats", 0.0),
        ("floor_mat", "floor_mat", 1.0),
        ("3", "3", 1.0),
    ],
)
@pytest.mark.usefixtures("small")
def test_words_are_looked_up_in_their_base_form(predicted: str, right: str, score: float) -> None:
    assert _wups(predicted, right) == pytest.approx(score)


@pytest.mark.parametrize(
    ("threshold", "score"), [(0.0, 0.6), (0.59, 0.6), (0.6, 0.6), (0.61, 0.06), (0.9, 0.06), (1.0, 0.06)]
)
@pytest.mark.usefixtures("small")
def test_a_tenth_is_left_below_the_threshold(threshold: float, score: float) -> None:
    assert _wups("chair", "lamp", threshold) == pytest.approx(score)  # 2 x 3 / (6 + 4)
    assert _wups("lamp", "lamp", threshold) == 1.0


@pytest.mark.parametrize(
    ("predicted", "right", "score"),
    [
        ("chair, lamp", "chair, lamp", 1.0),
        ("lamp, chair", "chair, lamp", 1.0),
        ("chair, lamp", "chair", 0.6),  # one too many
        ("chair", "chair, lamp", 0.6),  # one missing
        ("chair, floor_mat", "chair", 0.0),
        ("lamp, lamp", "chair", 0.6),  # sets
        # said: sofa-chair 10/12, lamp-table 6/9; wanted: chair-sofa 10/12, table-sofa 8/11
        ("lamp, sofa", "chair, table", min(10 / 12 * 6 / 9, 10 / 12 * 8 / 11)),
        ("chair, table", "lamp, sofa", min(10 / 12 * 6 / 9, 10 / 12 * 8 / 11)),
        # said: 1 x 1 x 10/12; wanted: 1 x 1
        ("chair, lamp, sofa", "chair, lamp", 10 / 12),
        # of two things with several paths to the root, each is compared with the other: 6/7 and 4/7
        ("stub", "bud", 4 / 7),
        ("bud", "stub", 4 / 7),
        ("lamp,chair", "lamp", 0.0),  # no space: one thing, which WordNet lacks
    ],
)
@pytest.mark.usefixtures("small")
def test_several_things_score_the_smaller_product(predicted: str, right: str, score: float) -> None:
    assert _wups(predicted, right) == pytest.approx(score)


@pytest.mark.usefixtures("small")
def test_threshold_applies_to_each_pair_before_products() -> None:
    # 10/12 is not below 0.7, 6/9 is, 8/11 is not
    assert _wups("lamp, sofa", "chair, table", 0.7) == pytest.approx(10 / 12 * 0.1 * 6 / 9)


@pytest.mark.usefixtures("small")
def test_metrics_apply_the_thresholds_of_their_names() -> None:
    questions = [Question("?", answer, "image") for answer in ("lamp", "seat", "dog", "unheard_of")]
    predicted = ["lamp", "chair", "dogs", "dog"]
    assert get_metric("wups@0.0").score(predicted, questions) == pytest.approx([1, 10 / 11, 1, 0])
    assert get_metric("wups@0.9").score(predicted, questions) == pytest.approx([1, 10 / 11, 1, 0])
    assert get_metric("wups@0.0").score(["sofa"], [Question("?", "chair", "i")]) == pytest.approx([10 / 12])
    assert get_metric("wups@0.9").score(["sofa"], [Question("?", "chair", "i")]) == pytest.approx([1 / 12])


@pytest.mark.parametrize("predicted", ["lamp", "dog"])
def test_missing_wordnet_is_said_at_the_first_question_even_if_its_answer_is_right(
    predicted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAN_WORDNET", str(tmp_path))
    with pytest.raises(InputError, match="WUPS needs WordNet"):
        get_metric("wups@0.9").score([predicted], [Question("?", "lamp", "image")])


@pytest.mark.parametrize(
    ("predicted", "right", "score"),
    [
        ("chair", "sofa", 18 / 20),  # both seats, the ninth from entity; not below 0.9
        ("table", "desk", 18 / 19),  # a desk is a table
        ("red", "blue", 14 / 16),
        ("two", "2", 1.0),
        ("lamps", "lamp", 1.0),
    ],
)
def test_similarity_of_words_in_wordnet(predicted: str, right: str, score: float) -> None:
    try:
        find_wordnet()
    except InputError as absent:
        pytest.skip(str(absent))
    assert _wups(predicted, right) == pytest.approx(score)
    assert _wups(predicted, right, 0.9) == pytest.approx(score if score >= 0.9 else score / 10)
