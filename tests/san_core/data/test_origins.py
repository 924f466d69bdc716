import pytest

from san_core.data import daquar
from san_core.data.origins import origin_of
from san_core.data.prepare import READERS


@pytest.mark.parametrize("name", [name for name in READERS if name != "vqa"])
def test_every_data_set_with_a_name_of_its_own_has_an_origin(name: str) -> None:
    origin = origin_of(name)
    assert origin is not None
    assert origin.language.startswith("English")


def test_a_convention_does_not_hide_the_origin() -> None:
    assert list(daquar.FILES) == ["all", "reduced"]
    assert origin_of("daquar-all (single answers only)") == origin_of("daquar-all")


def test_own_data_have_none() -> None:
    assert origin_of("vqa") is None
