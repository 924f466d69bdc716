import itertools

import numpy as np
import pytest

from san_core.data.ids import id_key, read_id


@pytest.mark.parametrize("value", [1, -3, 2**64, "a", "1", "007", "4.jpg", "1.50"])
def test_id_is_a_whole_number_or_a_text(value: int | str) -> None:
    assert read_id(value) == value
    assert type(read_id(value)) is type(value)


@pytest.mark.parametrize("value", [True, False, np.True_, None, "", " ", 1.5, float("nan"), float("inf"), [1], {}])
def test_anything_else_is_none(value: object) -> None:
    assert read_id(value) is None


@pytest.mark.parametrize("value", [7.0, -7.0, np.float32(7), np.int64(7), np.float64(-7)])
def test_whole_number_that_pandas_wrote_is_a_whole_number(value: float) -> None:
    assert read_id(value) == int(value)
    assert type(read_id(value)) is int


@pytest.mark.parametrize(("text", "given"), [("7.0", "7"), ("-12.00", "-12"), ("0.0", "0"), (" 7.0 ", "7")])
def test_text_of_such_a_number_stays_a_text(text: str, given: str) -> None:
    assert read_id(text) == given


def test_the_same_id_has_the_same_key_however_it_is_written() -> None:
    given = [read_id(value) for value in (1, 1.0, "1", " 1", "1.0", np.int64(1))]
    assert {id_key(value) for value in given if value is not None} == {"1"}
    assert id_key("caf\u00e9") == id_key("cafe\u0301")


def test_names_differ_from_numbers_and_from_one_another() -> None:
    names: list[int | str] = ["007", 7, "7.jpg", "A", "a", "7.50"]
    for one, other in itertools.combinations(names, 2):
        assert id_key(one) != id_key(other)
