import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from san_core.data.prepare import Options, encode, prepare
from san_core.data.prepared import PreparedData
from san_core.data.source import Question, Source
from san_core.errors import InputError
from san_core.hardware import best_device
from san_core.models.image_encoder import build_image_encoder

PIXELS = Options(image_size=64, fine_tune=True)  # no encoding: quick
Register = Callable[[Source], None]


def _files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def _leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.endswith(".lock")]


def test_manifest_counts_questions_of_each_split(tiny_data: PreparedData) -> None:
    manifest = json.loads((tiny_data.folder / "manifest.json").read_text())
    assert manifest["counts"] == {"train": 32 * 4, "validation": 8 * 4, "test": 12 * 4}
    assert {name: len(tiny_data.split(name)) for name in manifest["counts"]} == manifest["counts"]
    assert manifest["inputs"]["data"] == "tiny"
    assert manifest["inputs"]["image_size"] == 64
    assert manifest["inputs"]["encoder"] == "efficientnet-lite0"


def test_vocabularies_come_from_the_training_questions_most_frequent_first(tiny_data: PreparedData) -> None:
    # every image is a square, about one in four is red, and the colours share the rest
    assert tiny_data.answers[:2] == ["yes", "no"]
    assert sorted(tiny_data.answers[2:]) == ["blue", "green", "red", "yellow"]
    # "is" and "it" occur in three of an image's four questions, "colour" and "square" in two, the rest once each
    once = ["a", "does", "have", "red", "the", "what", "which"]
    assert tiny_data.words.words == ["is", "it", "colour", "square", *once]
    assert tiny_data.training_defaults == {"hidden_size": 32}


def test_no_image_is_both_in_training_and_held_out(tiny_data: PreparedData) -> None:
    train, validation, test = (set(tiny_data.split(name).images) for name in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (32, 8, 12)
    assert not train & validation
    assert not (train | validation) & test


def test_features_are_what_the_encoder_says_of_each_image(tiny_data: PreparedData, tiny_source: Source) -> None:
    encoder = build_image_encoder("efficientnet-lite0")
    test = tiny_data.split("test")
    assert tiny_data.images.shape == (52, 4, 1280)
    assert tiny_data.images.dtype == torch.bfloat16
    for row in (0, 17, 40):  # of the test split, which keeps its order
        with Image.open(tiny_source.images[tiny_source.test[row].image]) as image:
            pixels = np.asarray(image)[None].copy()
        with torch.inference_mode():
            expected = encoder(torch.from_numpy(pixels))[0]
        found = tiny_data.images[test.images[row]].float()
        # Stored in bfloat16 and, where that is faster, computed in it through all layers.
        assert torch.nn.functional.cosine_similarity(found, expected, dim=1).min() > 0.98
        torch.testing.assert_close(
            found, encode(encoder.to(best_device()), pixels)[0].float().cpu(), rtol=0.02, atol=0.1
        )
        encoder.cpu()


def test_fine_tuning_keeps_pixels(tiny_pixels: PreparedData, tiny_source: Source) -> None:
    assert tiny_pixels.fine_tune
    assert tiny_pixels.images.shape == (52, 64, 64, 3)
    assert tiny_pixels.images.dtype == torch.uint8
    assert not (tiny_pixels.folder / "features.npy").exists()
    test = tiny_pixels.split("test")
    for row, question in enumerate(tiny_source.test):
        with Image.open(tiny_source.images[question.image]) as image:
            np.testing.assert_array_equal(tiny_pixels.images[test.images[row]].numpy(), np.asarray(image))


def test_second_run_reuses_the_first(tiny_data: PreparedData, tiny_source: Source, register: Register) -> None:
    before = _files(tiny_data.folder)
    register(tiny_source)
    again = prepare("tiny", tiny_data.folder, Options(image_size=64))
    assert _files(tiny_data.folder) == before
    assert again.manifest == tiny_data.manifest


def test_image_size_left_out_is_the_one_that_suits_the_data(
    tiny_data: PreparedData, tiny_source: Source, register: Register
) -> None:
    register(tiny_source)
    assert prepare("tiny", tiny_data.folder).image_size == 64


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (Options(image_size=96), "image_size 64 instead of 96"),
        (Options(encoder="vgg16"), "encoder 'efficientnet-lite0' instead of 'vgg16'"),
        (Options(fine_tune=True), "fine_tune False instead of True"),
        (Options(seed=5), "seed 0 instead of 5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_folder_prepared_otherwise_says_what_differs(
    options: Options, difference: str, tiny_data: PreparedData, tiny_source: Source, register: Register
) -> None:
    register(tiny_source)
    before = _files(tiny_data.folder)
    with pytest.raises(InputError, match=re.escape(difference)) as raised:
        prepare("tiny", tiny_data.folder, options)
    assert str(raised.value).startswith(f"{tiny_data.folder} was prepared from something else: ")
    assert _files(tiny_data.folder) == before


def test_changed_questions_and_images_are_noticed(
    tiny_data: PreparedData, tiny_source: Source, register: Register, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (7, 7)).save(other)
    changed = replace(
        tiny_source,
        train=[*tiny_source.train[:-1], replace(tiny_source.train[-1], answer="blue")],
        images={**tiny_source.images, "train/3": other},
    )
    register(changed)
    with pytest.raises(InputError, match=r"questions '\w+' instead of '\w+'; images '\w+' instead of '\w+'"):
        prepare("tiny", tiny_data.folder)


def test_two_preparations_are_the_same_byte_for_byte(
    tiny_pixels: PreparedData, tiny_source: Source, register: Register, tmp_path: Path
) -> None:
    register(tiny_source)
    again = prepare("tiny", tmp_path / "again", PIXELS)
    first, second = _files(tiny_pixels.folder), _files(again.folder)
    assert {name: content for name, (_, content) in first.items()} == {name: c for name, (_, c) in second.items()}


def test_fingerprint_follows_from_the_options(tiny_data: PreparedData, tiny_pixels: PreparedData) -> None:
    assert tiny_data.fingerprint != tiny_pixels.fingerprint


@pytest.mark.parametrize("content", [b"no picture", None], ids=["unreadable", "missing"])
@pytest.mark.parametrize("options", [PIXELS, Options()], ids=["pixels", "features"])
def test_preparation_that_fails_leaves_nothing_behind(
    content: bytes | None, options: Options, tiny_source: Source, register: Register, tmp_path: Path
) -> None:
    bad, home = tmp_path / "bad.png", tmp_path / "home"
    home.mkdir()
    if content is not None:
        bad.write_bytes(content)
    register(replace(tiny_source, images={**tiny_source.images, "train/3": bad}))
    with pytest.raises(InputError, match=re.escape(f"image {bad} ")):
        prepare("tiny", home / "squares", options)
    assert _leftovers(home) == []


def test_remains_of_a_killed_preparation_are_no_obstacle(
    tiny_source: Source, register: Register, tmp_path: Path
) -> None:
    remains = tmp_path / ".squares.partial"
    remains.mkdir()
    (remains / "pixels.npy").write_bytes(b"half of it")
    register(tiny_source)
    data = prepare("tiny", tmp_path / "squares", PIXELS)
    assert data.images.shape == (52, 64, 64, 3)
    assert _leftovers(tmp_path) == ["squares"]


@pytest.mark.parametrize("images", [2, 3])
def test_few_images_are_enough(images: int, tiny_source: Source, register: Register, tmp_path: Path) -> None:
    keys = list(tiny_source.images)[:images]
    few = replace(tiny_source, train=[Question("is it red?", "yes", key) for key in keys])
    register(few)
    data = prepare("tiny", tmp_path / "few", PIXELS)
    assert (len(data.split("train")), len(data.split("validation"))) == (images - 1, 1)


def test_unknown_data_set_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown data set 'easyvqa'; accepted: easy-vqa"):
        prepare("easyvqa", tmp_path / "out")
    assert _leftovers(tmp_path) == []


def test_unknown_encoder_names_the_known_ones(tiny_source: Source, register: Register, tmp_path: Path) -> None:
    register(tiny_source)
    with pytest.raises(InputError, match="unknown image encoder 'resnet'; accepted: efficientnet-lite0, vgg16, vgg19"):
        prepare("tiny", tmp_path / "out", Options(encoder="resnet"))


@pytest.mark.parametrize("size", [31, 1, 0, -64])
def test_image_smaller_than_a_region_is_refused(
    size: int, tiny_source: Source, register: Register, tmp_path: Path
) -> None:
    register(tiny_source)
    expected = f"image size must be >= 32 pixels for efficientnet-lite0, but got {size}"
    with pytest.raises(InputError, match=expected):
        prepare("tiny", tmp_path / "out", Options(image_size=size, fine_tune=True))


def test_folder_that_cannot_be_written_is_named(tiny_source: Source, register: Register, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    register(tiny_source)
    with pytest.raises(InputError, match=re.escape(f"cannot write prepared data to {out}: ")):
        prepare("tiny", out, PIXELS)


def test_folder_with_other_contents_is_left_alone(tiny_source: Source, register: Register, tmp_path: Path) -> None:
    out = tmp_path / "holiday"
    out.mkdir()
    (out / "beach.txt").write_text("sand")
    register(tiny_source)
    with pytest.raises(InputError, match=re.escape(f"{out} is not a prepared data set: it has no manifest.json")):
        prepare("tiny", out, PIXELS)
    assert _leftovers(out) == ["beach.txt"]
