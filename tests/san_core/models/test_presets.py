import re

import pytest

from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.models.presets import PRESETS, preset
from san_core.models.question_encoder import CNNQuestionEncoder


@pytest.mark.parametrize(
    ("name", "hops", "encoder", "embedding", "hidden"),
    [
        ("SAN(1,LSTM)", 1, "lstm", 500, 500),
        ("SAN(1,CNN)", 1, "cnn", 500, 640),
        ("SAN(2,LSTM)", 2, "lstm", 500, 500),
        ("SAN(2,CNN)", 2, "cnn", 500, 640),
        ("SAN(1,LSTM)-VQA", 1, "lstm", 1000, 1000),
        ("SAN(1,CNN)-VQA", 1, "cnn", 1000, 1280),
        ("SAN(2,LSTM)-VQA", 2, "lstm", 1000, 1000),
        ("SAN(2,CNN)-VQA", 2, "cnn", 1000, 1280),
    ],
)
def test_presets_have_the_papers_sizes(name: str, hops: int, encoder: str, embedding: int, hidden: int) -> None:
    config = TrainingConfig.from_dict(preset(name))
    assert (config.hops, config.question_encoder) == (hops, encoder)
    assert (config.embedding_size, config.hidden_size) == (embedding, hidden)
    assert (config.attention_size, config.batch_size) == (512, 100)
    assert len(PRESETS) == 8


@pytest.mark.parametrize(("name", "filters"), [("SAN(2,CNN)", [128, 256, 256]), ("SAN(2,CNN)-VQA", [256, 512, 512])])
def test_cnn_presets_have_the_papers_filters(name: str, filters: list[int]) -> None:
    hidden = TrainingConfig.from_dict(preset(name)).hidden_size
    encoder = CNNQuestionEncoder(vocabulary_size=3, embedding_size=2, hidden_size=hidden)
    assert [conv.out_channels for conv in (encoder.unigram, encoder.bigram, encoder.trigram)] == filters


@pytest.mark.parametrize("name", ["san(2, cnn)-vqa", " SAN( 2,CNN )-VQA", "SAN(2,CNN)-VQA"])
def test_case_and_spaces_do_not_matter(name: str) -> None:
    assert preset(name) == PRESETS["SAN(2,CNN)-VQA"]


@pytest.mark.parametrize("name", ["SAN(3,CNN)", "", "SAN"])
def test_unknown_preset_names_the_known_ones(name: str) -> None:
    known = "SAN(1,LSTM), SAN(1,CNN), SAN(2,LSTM), SAN(2,CNN), SAN(1,LSTM)-VQA"
    with pytest.raises(InputError, match=re.escape(f"unknown preset {name!r}; accepted: {known}")):
        preset(name)


def test_what_a_caller_changes_stays_with_the_caller() -> None:
    preset("SAN(1,CNN)")["hops"] = 9
    assert preset("SAN(1,CNN)")["hops"] == 1
