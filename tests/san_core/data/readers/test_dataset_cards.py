import pytest

from san_core.data.readers import READERS, daquar
from san_core.data.readers.dataset_cards import dataset_card


@pytest.mark.parametrize("name", [name for name in READERS if name not in {"vqa", "table"}])
def test_every_data_set_with_a_name_of_its_own_has_a_card(name: str) -> None:
    card = dataset_card(name)
    assert card is not None
    assert card.language.startswith("English")


def test_a_variant_in_brackets_is_ignored() -> None:
    assert list(daquar.FILES) == ["all", "reduced"]
    assert dataset_card("daquar-all (single answers only)") == dataset_card("daquar-all")


def test_own_data_have_no_card() -> None:
    assert dataset_card("vqa") is None
