import json
import os
import re
import shutil
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from san_core.checkpoint import load_model, save_model
from san_core.config import TrainingConfig
from san_core.data.images.reading import load_pixels
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.data.vocabulary import CHARACTERS, LETTERS, WORDS
from san_core.errors import InputError
from san_core.hardware import autocast
from san_core.models.image_encoder import build_image_encoder
from san_core.models.san import SAN
from san_core.training import build_model


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder of one's own, to damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def _probabilities(logits: torch.Tensor) -> NDArray[np.float64]:
    exponentials: NDArray[np.float64] = np.exp(logits.detach().double().cpu().numpy())
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum()
    return probabilities


@pytest.mark.parametrize("row", range(0, 48, 7))
def test_loaded_model_answers_as_encoder_and_network_did(
    row: int, tiny_model: Path, tiny_network: SAN, tiny_data: PreparedData, tiny_dataset: RawDataset
) -> None:
    network, question = tiny_network.eval(), tiny_dataset.test[row]
    encoder, device = build_image_encoder("efficientnet-lite0"), next(network.parameters()).device
    pixels = load_pixels(tiny_dataset.images[question.image], 64)
    answers = load_model(tiny_model).answer(pixels, question.text, top=6)
    assert [a.probability for a in answers] == sorted((a.probability for a in answers), reverse=True)

    batch = tiny_data.batch(tiny_data.split("test"), np.array([row])).to(device)
    with torch.no_grad():
        features = encoder(torch.from_numpy(pixels[None].copy())).to(device)
        logits = network(features, *batch.inputs[1:])[0]
    expected = dict(zip(tiny_data.answers, _probabilities(logits), strict=True))
    assert {a.text: a.probability for a in answers} == pytest.approx(expected, abs=1e-3)


def test_loaded_model_answers_as_the_network_on_prepared_features(
    tiny_network: SAN, tiny_data: PreparedData, tiny_config: TrainingConfig, tiny_dataset: RawDataset, tmp_path: Path
) -> None:
    """Features are prepared in the fastest precision; a model of precision `auto` sees pictures in the same one."""
    config = TrainingConfig.from_dict(tiny_config.to_dict() | {"precision": "auto"})
    save_model(tmp_path / "model", tiny_network, config, tiny_data, {})
    model, network, test = load_model(tmp_path / "model"), tiny_network.eval(), tiny_data.split("test")
    device = next(network.parameters()).device
    for row, question in enumerate(tiny_dataset.test):
        answers = model.answer(load_pixels(tiny_dataset.images[question.image], 64), question.text, top=6)
        with torch.no_grad(), autocast(device, "auto"):
            logits = network(*tiny_data.batch(test, np.array([row])).to(device).inputs)[0]
        expected = dict(zip(tiny_data.answers, _probabilities(logits), strict=True))
        assert {a.text: a.probability for a in answers} == pytest.approx(expected, abs=0.08)


def test_fine_tuned_network_answers_the_same_after_loading(
    tiny_pixels: PreparedData, tiny_config: TrainingConfig, tiny_dataset: RawDataset, tmp_path: Path
) -> None:
    network = build_model(tiny_config, tiny_pixels).eval()
    assert network.image_encoder is not None
    with torch.no_grad():
        for weight in network.image_encoder.parameters():
            weight.mul_(1.01)  # as if tuned: no longer ImageNet's
    save_model(tmp_path / "tuned", network, tiny_config, tiny_pixels, {})
    model = load_model(tmp_path / "tuned")
    path = tiny_dataset.images["test/41"]
    with torch.no_grad():
        batch = tiny_pixels.batch(tiny_pixels.split("test"), np.array([4]))
        expected = dict(zip(tiny_pixels.answers, _probabilities(network(*batch.inputs)[0]), strict=True))
    answers = model.answer(load_pixels(path, 64), tiny_dataset.test[4].text, top=6)
    assert tiny_dataset.test[4].image == "test/41"
    assert {a.text: a.probability for a in answers} == pytest.approx(expected, abs=1e-3)


def test_network_trained_on_features_is_saved_with_the_encoder_they_came_from(tiny_model: Path) -> None:
    saved = load_file(tiny_model / "model.safetensors")
    for name, value in build_image_encoder("efficientnet-lite0").state_dict().items():
        assert torch.equal(saved[f"image_encoder.{name}"], value), name


def test_folder_can_be_moved(tiny_model: Path, copy: Path, tmp_path: Path) -> None:
    pixels = np.full((64, 64, 3), 90, dtype=np.uint8)
    moved = Path(shutil.move(copy, tmp_path / "elsewhere"))
    assert not copy.exists()
    assert load_model(moved).answer(pixels, "is it red?") == load_model(tiny_model).answer(pixels, "is it red?")


@pytest.mark.parametrize(("top", "answers"), [(1, 1), (5, 5), (6, 6), (100, 6)])
def test_as_many_answers_as_asked_for_or_as_there_are(top: int, answers: int, tiny_model: Path) -> None:
    found = load_model(tiny_model).answer(np.zeros((64, 64, 3), dtype=np.uint8), "what?", top=top)
    assert len({answer.text for answer in found}) == len(found) == answers


@pytest.mark.parametrize("question", ["", "¿qué?", "zebra zebra zebra", "is it red " * 50])
def test_any_words_get_an_answer(question: str, tiny_model: Path) -> None:
    found = load_model(tiny_model).answer(np.zeros((64, 64, 3), dtype=np.uint8), question)
    assert all(0 <= answer.probability <= 1 for answer in found)


def test_description_says_where_the_model_comes_from(
    tiny_model: Path, tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    description = json.loads((tiny_model / "model.json").read_text())
    assert description["config"] == tiny_config.to_dict()
    assert description["metrics"] == {"test_accuracy": 0.5}
    assert (description["data"], description["data_fingerprint"]) == ("tiny", tiny_data.fingerprint)
    model = load_model(tiny_model)
    assert (model.image_size, model.answers, model.words.words) == (64, tiny_data.answers, tiny_data.words.words)
    assert not any(part.training for part in model.network.modules())


@pytest.mark.parametrize(("saved", "tokenizer"), [(WORDS, WORDS), (None, LETTERS)])
def test_model_splits_questions_as_its_data_were_and_one_of_an_earlier_version_as_before(
    saved: str | None, tokenizer: str, copy: Path
) -> None:
    path = copy / "model.json"
    description = json.loads(path.read_text())
    assert description.pop("tokenizer") == CHARACTERS
    path.write_text(json.dumps(description | ({"tokenizer": saved} if saved else {})))
    assert load_model(copy).words.tokenizer == tokenizer


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (".", "has no model.json"),
        ("none", "does not exist"),
        ("copy/model.safetensors", "is a file of one; its folder is copy"),
        ("copy/model.json", "is a file of one; its folder is copy"),
        ("model.zip", "is a ZIP archive; unpack it first"),
        ("note.txt", "is a file"),
        ("-", "is no file: standard input is not read"),
        ("https://there.org/model", "is an address, and nothing is downloaded here; download it first"),
        ("file:///home/me/model", "is an address; accepted: the path alone, /home/me/model"),
    ],
)
def test_what_is_no_model_folder_is_named(
    given: str, what: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("a note")
    with ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.write(copy / "model.json")
    with pytest.raises(InputError, match=f"^{re.escape(str(Path(given)))} is not a model folder: it {re.escape(what)}"):
        load_model(Path(given))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_file_that_git_lfs_has_not_fetched_is_named(name: str, copy: Path) -> None:
    (copy / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(InputError, match=f"^{re.escape(str(copy / name))} is a Git LFS pointer, not the file itself"):
        load_model(copy)


def test_a_model_of_an_earlier_version_has_no_digest_but_must_compute_numbers(copy: Path) -> None:
    description = json.loads((copy / "model.json").read_text())
    del description["weights_sha256"]
    (copy / "model.json").write_text(json.dumps(description))
    pixels = np.full((64, 64, 3), 90, dtype=np.uint8)
    load_model(copy).answer(pixels, "is it red?")
    weights = load_file(copy / "model.safetensors")
    save_file(weights | {"classify.bias": weights["classify.bias"] * torch.nan}, copy / "model.safetensors")
    with pytest.raises(InputError, match="^the model has no answer: it computes numbers that are not finite"):
        load_model(copy).answer(pixels, "is it red?")


def test_every_file_can_be_read_by_those_whom_the_umask_lets(
    tiny_network: SAN, tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    before = os.umask(0o002)
    try:
        save_model(tmp_path / "model", tiny_network, tiny_config, tiny_data, {})
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "model").iterdir()}
    assert modes == {"model.json": "0o664", "model.safetensors": "0o664"}


@pytest.mark.parametrize("text", ["", '{"format": 1, "con', "{}", "[]", "7", b"\xff\xfe\x00"], ids=repr)
def test_damaged_description_is_named(text: str | bytes, copy: Path) -> None:
    (copy / "model.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=re.escape(f"model folder {copy} is damaged: ")):
        load_model(copy)


@pytest.mark.parametrize("key", ["config", "encoder", "image_size", "answers", "words"])
def test_description_that_lacks_a_key_names_it(key: str, copy: Path) -> None:
    description = json.loads((copy / "model.json").read_text())
    del description[key]
    (copy / "model.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=f"is damaged: .*{key}"):
        load_model(copy)


def test_description_of_another_format_is_refused(copy: Path) -> None:
    description = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps(description | {"format": 1}))
    with pytest.raises(InputError, match="format 1, accepted: 2"):
        load_model(copy)


def _delete(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _lose_a_weight(path: Path) -> None:
    save_file({name: value for name, value in load_file(path).items() if name != "classify.bias"}, path)


def _reshape_a_weight(path: Path) -> None:
    save_file(load_file(path) | {"classify.bias": torch.zeros(99)}, path)


def _exchange_the_weights(path: Path) -> None:
    save_file({name: torch.zeros_like(value) for name, value in load_file(path).items()}, path)


@pytest.mark.parametrize("damage", [_delete, _cut, _empty, _lose_a_weight, _reshape_a_weight, _exchange_the_weights])
def test_damaged_weights_are_named_in_one_line(damage: object, copy: Path) -> None:
    assert callable(damage)
    damage(copy / "model.safetensors")
    with pytest.raises(InputError, match=re.escape(f"model folder {copy} is damaged: ")) as raised:
        load_model(copy)
    assert "\n" not in str(raised.value)


def test_folder_that_cannot_be_written_is_named(
    tiny_network: SAN, tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "model"
    with pytest.raises(InputError, match=re.escape(f"cannot write model folder {folder}: ")):
        save_model(folder, tiny_network, tiny_config, tiny_data, {})


def test_saving_leaves_the_network_as_it_was(
    tiny_network: SAN, tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in tiny_network.state_dict().items()}
    save_model(tmp_path / "model", tiny_network, tiny_config, tiny_data, {})
    assert tiny_network.image_encoder is None
    assert all(torch.equal(value, before[name]) for name, value in tiny_network.state_dict().items())


def test_picture_of_any_size_can_be_asked_about(tiny_model: Path, tmp_path: Path) -> None:
    Image.new("L", (300, 20)).save(tmp_path / "wide.png")
    model = load_model(tiny_model)
    assert len(model.answer(load_pixels(tmp_path / "wide.png", model.image_size), "is it red?")) == 5
