"""Networks that answer together."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import san_core
from san_core.checkpoint import save_model
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.demo_page.app import _render
from san_core.errors import InputError
from san_core.evaluation import predict_split, predict_together
from san_core.export import export_model
from san_core.models.ensemble import Ensemble
from san_core.models.san import SAN
from san_core.prediction.trained_model import Reply
from san_core.training import build_model

SEEDS = 5, 6, 7


def _networks(config: TrainingConfig, data: PreparedData) -> list[SAN]:
    """Untrained networks that are sure of their answers, and do not agree."""
    networks = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        networks.append(build_model(config, data).eval())
        with torch.no_grad():
            networks[-1].classify.weight.mul_(40)
    return networks


def _save(folder: Path, networks: list[SAN], config: TrainingConfig, data: PreparedData) -> Path:
    """The model folder of the ensemble; beside it those of its members."""
    for seed, network in zip(SEEDS, networks, strict=True):
        save_model(folder.with_name(f"{folder.name}-{seed}"), network, replace(config, seed=seed), data, {})
    save_model(folder, Ensemble(networks), replace(config, seed=SEEDS[0]), data, {"scores": {}}, SEEDS)
    return folder


@pytest.fixture
def networks(tiny_config: TrainingConfig, tiny_data: PreparedData) -> list[SAN]:
    return _networks(tiny_config, tiny_data)


@pytest.fixture
def folder(networks: list[SAN], tiny_config: TrainingConfig, tiny_data: PreparedData, tmp_path: Path) -> Path:
    return _save(tmp_path / "ensemble", networks, tiny_config, tiny_data)


def _mean_of_members(folder: Path, picture: Path, question: str) -> tuple[dict[str, float], NDArray[np.float32]]:
    replies: list[Reply] = []
    for seed in SEEDS:
        replies.append(san_core.load(folder.with_name(f"{folder.name}-{seed}")).ask(picture, question, top=6))
    shares = [{answer.text: answer.probability for answer in reply.answers} for reply in replies]
    mean = {text: float(np.mean([share[text] for share in shares])) for text in shares[0]}
    return mean, np.mean([reply.attention for reply in replies], axis=0)


def test_it_predicts_in_the_same_pass_as_its_members(
    networks: list[SAN], tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, (inputs, *_) = tiny_data.split("test"), [tiny_data.batch(tiny_data.split("test"), np.arange(48)).inputs]
    with torch.no_grad():
        shares = np.mean([network(*inputs).double().softmax(dim=1).numpy() for network in networks], axis=0)
    alone = [predict_split(network, tiny_data, split, "float32") for network in networks]
    assert len({tuple(each.answers) for each in alone}) == 3
    passes, read = [], PreparedData.batch
    monkeypatch.setattr(PreparedData, "batch", lambda *given: passes.append(1) or read(*given))
    *members, together = predict_together(networks, tiny_data, split, "float32")
    assert len(passes) == 1
    for found, expected in zip(members, alone, strict=True):
        assert found.answers == expected.answers
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert together.answers == [tiny_data.answers[number] for number in shares.argmax(axis=1)]
    np.testing.assert_allclose(together.probabilities, shares.max(axis=1), atol=1e-6)


def test_a_loaded_one_answers_and_looks_as_its_members_in_the_mean(folder: Path, tiny_dataset: RawDataset) -> None:
    model = san_core.load(folder)
    assert model.networks == 3
    for image in ("test/40", "test/43"):
        expected, attention = _mean_of_members(folder, tiny_dataset.images[image], "is it red?")
        reply = model.ask(tiny_dataset.images[image], "is it red?", top=6)
        assert {answer.text: answer.probability for answer in reply.answers} == pytest.approx(expected, abs=1e-5)
        np.testing.assert_allclose(reply.attention, attention, atol=1e-5)


def test_members_with_image_encoders_of_their_own_keep_them(
    tiny_pixels: PreparedData, tiny_config: TrainingConfig, tiny_dataset: RawDataset, tmp_path: Path
) -> None:
    networks = _networks(tiny_config, tiny_pixels)
    with torch.no_grad():
        for network, factor in zip(networks, (1.0, 1.01, 0.99), strict=True):
            assert network.image_encoder is not None
            for weight in network.image_encoder.parameters():
                weight.mul_(factor)  # as if tuned
    folder, picture = _save(tmp_path / "tuned", networks, tiny_config, tiny_pixels), tiny_dataset.images["test/41"]
    expected, _ = _mean_of_members(folder, picture, "is it red?")
    found = san_core.load(folder).ask(picture, "is it red?", top=6).answers
    assert {answer.text: answer.probability for answer in found} == pytest.approx(expected, abs=1e-5)
    assert export_model(folder, tmp_path / "tuned.pt2", words=3) < 1e-4


def test_images_are_encoded_once_for_all_and_stored_once(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    assert any(name.startswith("image_encoder.") for name in weights)
    assert not any("members" in name and "image_encoder" in name for name in weights)


def test_one_that_lacks_a_member_is_damaged(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("members.2.")}
    save_file(kept, folder / "model.safetensors")
    with pytest.raises(InputError, match=f"^model folder {re.escape(str(folder))} is damaged: .*SHA-256 differs"):
        san_core.load(folder)
    description = json.loads((folder / "model.json").read_text())
    del description["weights_sha256"]
    (folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"is damaged: .*members\.2\.project\.weight.*") as raised:
        san_core.load(folder)
    assert "\n" not in str(raised.value)


def test_it_is_exported_like_a_network(folder: Path, tmp_path: Path) -> None:
    assert export_model(folder, tmp_path / "model.pt2", words=7) < 1e-4


def test_the_page_says_that_it_is_one(folder: Path, tiny_model: Path) -> None:
    assert "An ensemble of 3 Stacked Attention Networks trained on tiny." in _render(san_core.load(folder), [], "")
    assert "A Stacked Attention Network trained on tiny." in _render(san_core.load(tiny_model), [], "")
