import errno
import fcntl
import json
import re
import resource
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from san_core import file_lock
from san_core.checkpoint import load_model, save_model
from san_core.config import TrainingConfig
from san_core.data import feature_extraction, preparation
from san_core.data.encoded_rows import EncodedRows
from san_core.data.feature_extraction import encode
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import Location, RawDataset
from san_core.data.readers import READERS
from san_core.errors import InputError
from san_core.hardware import best_device
from san_core.models.batch_norm_fusion import fuse_batch_norm
from san_core.models.image_encoder import build_image_encoder
from san_core.training import build_model, train_fn
from tests.san_core.data_sets import write_tiff

PIXELS = Options(image_size=64, fine_tune=True)  # no encoding: quick
Register = Callable[[RawDataset], None]


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


def test_features_are_what_the_encoder_says_of_each_image(tiny_data: PreparedData, tiny_dataset: RawDataset) -> None:
    encoder = build_image_encoder("efficientnet-lite0")
    test = tiny_data.split("test")
    assert tiny_data.images.shape == (52, 4, 1280)
    assert tiny_data.images.dtype == torch.bfloat16
    for row in (0, 17, 40):  # of the test split, which keeps its order
        with Image.open(tiny_dataset.images[tiny_dataset.test[row].image]) as image:
            pixels = np.asarray(image)[None].copy()
        with torch.inference_mode():
            expected = encoder(torch.from_numpy(pixels))[0]
        found = tiny_data.images[test.images[row]].float()
        # Stored in bfloat16 and, where that is faster, computed in it through all layers.
        assert torch.nn.functional.cosine_similarity(found, expected, dim=1).min() > 0.98
        again = encode(fuse_batch_norm(encoder).to(best_device()), pixels)[0].float().cpu()
        torch.testing.assert_close(found, again, rtol=0.02, atol=0.1)


def test_fine_tuning_keeps_pixels(tiny_pixels: PreparedData, tiny_dataset: RawDataset) -> None:
    assert tiny_pixels.fine_tune
    assert tiny_pixels.images.shape == (52, 64, 64, 3)
    assert tiny_pixels.images.dtype == torch.uint8
    assert not (tiny_pixels.folder / "features.npy").exists()
    test = tiny_pixels.split("test")
    for row, question in enumerate(tiny_dataset.test):
        with Image.open(tiny_dataset.images[question.image]) as image:
            np.testing.assert_array_equal(tiny_pixels.images[test.images[row]].numpy(), np.asarray(image))


def test_second_run_reuses_the_first(tiny_data: PreparedData, tiny_dataset: RawDataset, register: Register) -> None:
    before = _files(tiny_data.folder)
    register(tiny_dataset)
    again = prepare("tiny", tiny_data.folder, Options(image_size=64))
    assert _files(tiny_data.folder) == before
    assert again.manifest == tiny_data.manifest


def test_strict_refuses_what_was_prepared_from_data_with_problems(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    grey = tmp_path / "grey.png"
    Image.new("L", (7, 7), 99).save(grey)
    register(replace(tiny_dataset, images={**tiny_dataset.images, "train/3": grey}))
    out = tmp_path / "out"
    assert prepare("tiny", out, PIXELS).manifest["problems"] == ["1 x mode L converted to RGB: train/3"]
    assert (out / "problems.txt").read_text() == "train/3: mode L converted to RGB\n"
    prepare("tiny", out, PIXELS)
    with pytest.raises(
        InputError, match=re.escape(f"{out} was prepared from data with problems; {out / 'problems.txt'}")
    ):
        prepare("tiny", out, replace(PIXELS, strict=True))


def test_image_size_left_out_is_the_one_that_suits_the_data(
    tiny_data: PreparedData, tiny_dataset: RawDataset, register: Register
) -> None:
    register(tiny_dataset)
    assert prepare("tiny", tiny_data.folder).image_size == 64


@pytest.mark.parametrize(
    ("options", "layer", "grid"),
    [
        (Options(), "reduction_3", 4),
        (Options(grid=2), "reduction_3", 2),
        (Options(image_size=24), "reduction_3", 3),  # has no more
        (Options(layer="features"), "features", 2),
        (Options(encoder="small-cnn"), "features", 4),
    ],
)
def test_default_regions_of_a_data_set_are_those_of_the_default_encoder_and_layer(
    options: Options, layer: str, grid: int, tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(replace(tiny_dataset, layer="reduction_3", grid=4))  # 8 x 8 regions of 8 pixels before pooling
    data = prepare("tiny", tmp_path / "out", replace(options, fine_tune=True))
    assert (data.layer, data.grid) == (layer, grid)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (Options(image_size=96), "image_size 64 instead of 96"),
        (Options(encoder="vgg16"), "encoder 'efficientnet-lite0' instead of 'vgg16'"),
        (Options(layer="reduction_4"), "layer 'features' instead of 'reduction_4'"),
        (Options(grid=1), "grid 2 instead of 1"),
        (Options(top_answers=2), "top_answers None instead of 2"),
        (Options(fine_tune=True), "fine_tune False instead of True"),
        (Options(seed=5), "seed 0 instead of 5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_folder_prepared_otherwise_says_what_differs(
    options: Options, difference: str, tiny_data: PreparedData, tiny_dataset: RawDataset, register: Register
) -> None:
    register(tiny_dataset)
    before = _files(tiny_data.folder)
    with pytest.raises(InputError, match=re.escape(difference)) as raised:
        prepare("tiny", tiny_data.folder, options)
    assert str(raised.value).startswith(f"{tiny_data.folder} was prepared from something else: ")
    assert _files(tiny_data.folder) == before


def test_changed_questions_and_images_are_noticed(
    tiny_data: PreparedData, tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (7, 7)).save(other)
    changed = replace(
        tiny_dataset,
        train=[*tiny_dataset.train[:-1], replace(tiny_dataset.train[-1], answer="blue")],
        images={**tiny_dataset.images, "train/3": other},
    )
    register(changed)
    with pytest.raises(InputError, match=r"questions '\w+' instead of '\w+'; images '\w+' instead of '\w+'"):
        prepare("tiny", tiny_data.folder)


def test_two_preparations_are_the_same_byte_for_byte(
    tiny_pixels: PreparedData, tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(tiny_dataset)
    again = prepare("tiny", tmp_path / "again", PIXELS)
    first, second = _files(tiny_pixels.folder), _files(again.folder)
    assert {name: content for name, (_, content) in first.items()} == {name: c for name, (_, c) in second.items()}


def test_folder_holds_what_training_needs_and_nothing_else(tiny_data: PreparedData, tiny_pixels: PreparedData) -> None:
    splits = [f"{name}.{kind}" for name in ("train", "validation", "test") for kind in ("npz", "parquet")]
    common = ["image_files.json", "manifest.json", "problems.txt", "questions.npy", *splits]
    for data, images in ((tiny_data, "features.npy"), (tiny_pixels, "pixels.npy")):
        assert sorted(path.name for path in data.folder.iterdir()) == sorted([images, *common])


def test_vocabularies_do_not_depend_on_the_cut_of_validation(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    rare = [replace(q, text="how odd", answer="mauve") if i == 9 else q for i, q in enumerate(tiny_dataset.train)]
    register(replace(tiny_dataset, train=rare))
    cuts = [prepare("tiny", tmp_path / str(seed), replace(PIXELS, seed=seed)) for seed in range(8)]
    assert any("mauve" in {q.answer for q in data.questions_of("validation")} for data in cuts)
    assert any("mauve" in {q.answer for q in data.questions_of("train")} for data in cuts)
    for data in cuts:
        assert data.answers == cuts[0].answers
        assert data.words.words == cuts[0].words.words
        assert {"mauve"} < set(data.answers)
        assert {"how", "odd"} < set(data.words.words)


def test_fingerprint_follows_from_the_options(tiny_data: PreparedData, tiny_pixels: PreparedData) -> None:
    assert tiny_data.fingerprint != tiny_pixels.fingerprint


def _damage(
    folder: Path, dataset: RawDataset, keys: Sequence[str], content: bytes | None = b"no picture"
) -> RawDataset:
    """A data set whose images are copies in a folder, some of them damaged, or missing where there is no content."""
    folder.mkdir()
    images = {key: folder / path.name for key, path in dataset.images.items()}
    for key, path in images.items():
        if key not in keys:
            shutil.copy(dataset.images[key], path)
        elif content is not None:
            path.write_bytes(content + key.encode())
    return replace(dataset, images=images)


def _mend(dataset: RawDataset, whole: RawDataset, *keys: str) -> None:
    for key in keys:
        shutil.copy(whole.images[key], dataset.images[key])


def test_damaged_images_are_left_out_with_their_questions(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    damaged = ["train/3", "train/4", "test/45"]
    register(_damage(tmp_path / "images", tiny_dataset, damaged))
    data = prepare("tiny", tmp_path / "out", PIXELS)
    asked = {question.image for split in data.splits for question in data.questions_of(split)}
    assert asked == set(tiny_dataset.images) - set(damaged)
    assert sum(data.manifest["counts"].values()) == 4 * 49
    assert (len(data.images), data.manifest["images"], len(data.image_files)) == (49, 49, 49)
    for split in data.splits:
        for question, row in zip(data.questions_of(split), data.split(split).images, strict=True):
            with Image.open(tiny_dataset.images[question.image]) as image:
                np.testing.assert_array_equal(data.images[row].numpy(), np.asarray(image))
    told = "3 x image cannot be read, its questions are left out: "
    assert [line for line in data.manifest["problems"] if line.startswith(told)]
    assert len((tmp_path / "out" / "problems.txt").read_text().splitlines()) == 3
    assert prepare("tiny", tmp_path / "out", PIXELS).fingerprint == data.fingerprint


def test_too_many_damaged_images_are_listed_and_mending_one_encodes_that_one(
    tiny_dataset: RawDataset,
    register: Register,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = ["test/40", "test/45", "train/3", "train/4"]
    dataset = _damage(tmp_path / "images", tiny_dataset, damaged)
    register(dataset)
    out, options = tmp_path / "out", Options(image_size=64)
    monkeypatch.setattr(feature_extraction, "_PIXELS_PER_STEP", {"cpu": 64 * 64, "cuda": 64 * 64})
    with pytest.raises(InputError, match="4 of 52 images cannot be read, accepted: up to 3, .*; the 43 encoded so far"):
        prepare("tiny", out, options)
    assert sorted(_leftovers(tmp_path)) == [".out.partial", "images"]
    listed = (tmp_path / ".out.partial" / "problems.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in listed] == damaged
    err = capsys.readouterr().err
    assert "4 x image cannot be read, its questions are left out: test/40 (" in err
    assert f"{tmp_path / '.out.partial' / 'problems.txt'} lists all problems" in err
    _mend(dataset, tiny_dataset, *damaged)
    encoded = []
    encode = feature_extraction.encode
    monkeypatch.setattr(feature_extraction, "encode", lambda *batch: (encoded.append(len(batch[1])), encode(*batch))[1])
    data = prepare("tiny", out, options)
    assert sum(encoded) == 52 - 43
    assert sorted(_leftovers(tmp_path)) == ["images", "out"]
    whole = prepare("tiny", tmp_path / "whole", options)
    np.testing.assert_array_equal(data.images.float(), whole.images.float())
    assert data.manifest == whole.manifest


def test_allowed_loss_decides_how_many_images_may_be_damaged(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(_damage(tmp_path / "images", tiny_dataset, [f"train/{number}" for number in range(5)]))
    with pytest.raises(InputError, match="5 of 52 images cannot be read, accepted: up to 4, "):
        prepare("tiny", tmp_path / "out", replace(PIXELS, allow_loss=0.09))
    assert len(prepare("tiny", tmp_path / "out", replace(PIXELS, allow_loss=0.1)).images) == 47


def test_missing_images_are_told_all_at_once_before_anything_is_encoded(
    tiny_dataset: RawDataset,
    register: Register,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    missing = ["train/3", "train/7", "test/45"]
    dataset = _damage(tmp_path / "images", tiny_dataset, missing, None)
    register(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "write_images", _stop)
        with pytest.raises(InputError) as raised:
            prepare("tiny", tmp_path / "out", PIXELS)
    message = str(raised.value)
    for lost, entries, split in ((8, 160, "train"), (4, 48, "test")):
        expected = (
            f"{lost} of {entries} entries of the {split} questions of tiny ({lost / entries:.1%}) would be left out"
        )
        assert expected in message
    err = capsys.readouterr().err
    assert all(f"{key} ({dataset.images[key]} does not exist)" in err for key in missing)
    listed = (tmp_path / ".out.partial" / "problems.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in listed] == missing
    data = prepare("tiny", tmp_path / "out", replace(PIXELS, allow_loss=0.09))
    assert len(data.images) == 49
    told = (tmp_path / "out" / "problems.txt").read_text().splitlines()
    assert sorted(told) == sorted(
        f"{key}: image is missing, its questions are left out ({dataset.images[key]} does not exist)" for key in missing
    )


def test_missing_images_of_a_small_split_are_not_outweighed_by_a_large_one(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    (last,) = {question.image for question in tiny_dataset.test[-4:]}
    few = replace(tiny_dataset, test=[q for q in tiny_dataset.test if q.image == last])
    register(_damage(tmp_path / "images", few, [last], None))
    with pytest.raises(InputError, match=re.escape("4 of 4 entries of the test questions of tiny (100.0%)")):
        prepare("tiny", tmp_path / "out", replace(PIXELS, allow_loss=0.9))


def test_damaged_images_may_not_be_all_of_a_split(tiny_dataset: RawDataset, register: Register, tmp_path: Path) -> None:
    (last,) = {question.image for question in tiny_dataset.test[-4:]}
    few = replace(tiny_dataset, test=[q for q in tiny_dataset.test if q.image == last])
    register(_damage(tmp_path / "images", few, [last]))
    with pytest.raises(InputError, match="all images of the split test are damaged"):
        prepare("tiny", tmp_path / "out", PIXELS)


def test_problems_of_a_reader_are_listed_before_the_images_are_read(
    tiny_dataset: RawDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_location: Location, problems: Problems) -> RawDataset:
        problems.add_file("t.csv", 20)
        for row in range(15):
            problems.lose("picture not found, left out", f"t.csv row {row}", file="t.csv")
        return tiny_dataset

    monkeypatch.setitem(READERS, "tiny", read)
    listed = tmp_path / ".out.partial" / "problems.txt"
    with pytest.raises(InputError, match=f"15 of 20 entries of t.csv .*; {re.escape(str(listed))} lists all problems"):
        prepare("tiny", tmp_path / "out", PIXELS)
    assert len(listed.read_text().splitlines()) == 15


def test_images_that_a_reader_does_not_find_are_missing_ones(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(replace(tiny_dataset, not_found={"train/3": "several pictures: 3.jpg, 3.png"}))
    data = prepare("tiny", tmp_path / "out", replace(PIXELS, allow_loss=0.06))
    assert len(data.images) == 51
    assert data.manifest["problems"] == [
        "1 x image is missing, its questions are left out: train/3 (several pictures: 3.jpg, 3.png)"
    ]


@pytest.mark.parametrize("content", [b"no picture", None])
@pytest.mark.parametrize("options", [PIXELS, Options(image_size=64)])
def test_strict_makes_one_bad_image_an_error_and_nothing_is_left(
    content: bytes | None, options: Options, tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(_damage(tmp_path / "images", tiny_dataset, ["test/40"], content))
    with pytest.raises(InputError, match=r"^test/40: image .*, its questions are left out \(.*without --strict"):
        prepare("tiny", tmp_path / "out", replace(options, strict=True))
    assert _leftovers(tmp_path) == ["images"]


def test_deep_grey_images_are_scaled_alike_by_preparation_and_by_the_model(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path, tiny_config: TrainingConfig
) -> None:
    dataset = _damage(tmp_path / "images", tiny_dataset, [])
    values = np.random.default_rng(0).integers(0, 1500, (64, 64)).astype(np.uint16)
    values[0] = 2999
    write_tiff(dataset.images["train/3"], values)
    write_tiff(dataset.images["test/45"], values // 3)
    register(dataset)
    data = prepare("tiny", tmp_path / "out", PIXELS)
    assert data.grey_range == (0, 2999)
    row = next(row for q, row in zip(data.questions_of("test"), data.split("test").images) if q.image == "test/45")  # noqa: B905
    pixels = data.images[row].numpy()
    np.testing.assert_array_equal(pixels[:, :, 0], np.rint(values // 3 * (255 / 2999)))
    assert "2 x mode I;16 converted to RGB by the range of the data set, 0 to 2999: " in data.manifest["problems"][0]
    save_model(tmp_path / "model", train_fn(replace(tiny_config, epochs=1), data), tiny_config, data, {})
    model = load_model(tmp_path / "model")
    assert model.grey_range == (0, 2999)
    question = "which colour does the square have"
    expected = model.answer(pixels, question)
    assert model.ask(dataset.images["test/45"], question).answers == expected
    with Image.open(dataset.images["test/45"]) as image:
        assert model.ask(image, question).answers == expected


@pytest.mark.parametrize("has_locks", [True, False], ids=["locks", "a file system without locks"])
def test_folder_is_prepared_by_one_process_at_a_time_and_no_lock_stays(
    has_locks: bool, tiny_dataset: RawDataset, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    register(tiny_dataset)
    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", flock)
    opened = []
    load = feature_extraction._load
    monkeypatch.setattr(feature_extraction, "_load", lambda *image: (opened.append(image), load(*image))[1])
    with ThreadPoolExecutor() as pool:  # a lock of each call's own: as good as processes
        prepared = [pool.submit(prepare, "tiny", tmp_path / "out", PIXELS) for _ in range(3)]
    assert len({future.result().fingerprint for future in prepared}) == 1
    assert len(opened) == 52
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_prepared_data_are_opened_where_no_lock_can_be_taken(
    tiny_data: PreparedData, tiny_dataset: RawDataset, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    register(tiny_dataset)
    monkeypatch.setattr(file_lock.FileLock, "acquire", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    opened = prepare("tiny", tiny_data.folder, Options(encoder="efficientnet-lite0", image_size=64))
    assert opened.fingerprint == tiny_data.fingerprint


def test_lock_stays_where_another_process_may_still_prepare(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tiny_dataset)
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "write_splits", _stop)
        with pytest.raises(KeyboardInterrupt):
            prepare("tiny", tmp_path / "out", PIXELS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", ".out.partial"]
    prepare("tiny", tmp_path / "out", PIXELS)
    prepare("tiny", tmp_path / "out", PIXELS)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_remains_of_a_killed_preparation_are_no_obstacle(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    remains = tmp_path / ".squares.partial"
    remains.mkdir()
    (remains / "pixels.npy").write_bytes(b"half of it")
    register(tiny_dataset)
    data = prepare("tiny", tmp_path / "squares", PIXELS)
    assert data.images.shape == (52, 64, 64, 3)
    assert _leftovers(tmp_path) == ["squares"]


@pytest.mark.parametrize("images", [2, 3])
def test_few_images_are_enough(images: int, tiny_dataset: RawDataset, register: Register, tmp_path: Path) -> None:
    keys = list(tiny_dataset.images)[:images]
    few = replace(tiny_dataset, train=[Question("is it red?", "yes", key) for key in keys])
    register(few)
    data = prepare("tiny", tmp_path / "few", PIXELS)
    assert (len(data.split("train")), len(data.split("validation"))) == (images - 1, 1)


def test_unknown_data_set_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown data set 'easyvqa'; accepted: easy-vqa"):
        prepare("easyvqa", tmp_path / "out")
    assert _leftovers(tmp_path) == []


def test_unknown_encoder_names_the_known_ones(tiny_dataset: RawDataset, register: Register, tmp_path: Path) -> None:
    register(tiny_dataset)
    with pytest.raises(
        InputError, match="unknown image encoder 'resnet'; near: resnet50; accepted: efficientnet-lite0, "
    ):
        prepare("tiny", tmp_path / "out", Options(encoder="resnet"))


@pytest.mark.parametrize("size", [31, 1, 0, -64])
def test_image_smaller_than_a_region_is_refused(
    size: int, tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(tiny_dataset)
    expected = f"image size {size} is too small for layer features of efficientnet-lite0; accepted: >= 32 pixels"
    with pytest.raises(InputError, match=expected):
        prepare("tiny", tmp_path / "out", Options(image_size=size, fine_tune=True))


def test_folder_that_cannot_be_written_is_named(tiny_dataset: RawDataset, register: Register, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    register(tiny_dataset)
    with pytest.raises(InputError, match=re.escape(f"cannot write prepared data to {out}: ")):
        prepare("tiny", out, PIXELS)


def test_folder_with_other_contents_is_left_alone(tiny_dataset: RawDataset, register: Register, tmp_path: Path) -> None:
    out = tmp_path / "holiday"
    out.mkdir()
    (out / "beach.txt").write_text("sand")
    register(tiny_dataset)
    with pytest.raises(InputError, match=re.escape(f"{out} is not a prepared data set: it has no manifest.json")):
        prepare("tiny", out, PIXELS)
    assert _leftovers(out) == ["beach.txt"]


def _whole(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


STAGES = {"images": 0, "splits": 52, "manifest": 52}  # and how many images need not be read again


@pytest.mark.parametrize("stage", STAGES)
def test_interrupted_preparation_goes_on_where_it_stopped(
    stage: str, tiny_dataset: RawDataset, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tiny_dataset)
    prepare("tiny", tmp_path / "whole", PIXELS)
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        if stage == "images":
            patch.setattr(EncodedRows, "append", _stop)
        else:
            patch.setattr(preparation, {"splits": "write_splits", "manifest": "coverage"}[stage], _stop)
        with pytest.raises(KeyboardInterrupt):
            prepare("tiny", out, PIXELS)
    assert not out.exists()
    assert sorted(_leftovers(tmp_path)) == [".out.partial", "whole"]
    opened = []
    load = feature_extraction._load
    monkeypatch.setattr(feature_extraction, "_load", lambda *image: (opened.append(image), load(*image))[1])
    prepare("tiny", out, PIXELS)
    assert len(opened) == 52 - STAGES[stage]
    assert _whole(out) == _whole(tmp_path / "whole")
    assert sorted(_leftovers(tmp_path)) == ["out", "whole"]


@pytest.mark.parametrize("change", ["seed", "image", "question"])
def test_interrupted_preparation_of_something_else_uses_what_was_encoded(
    change: str, tiny_dataset: RawDataset, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.png"
    shutil.copy(tiny_dataset.images["train/0"], own)
    source = replace(tiny_dataset, images={**tiny_dataset.images, "train/0": own})
    register(source)
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "write_splits", _stop)
        with pytest.raises(KeyboardInterrupt):
            prepare("tiny", out, PIXELS)
    options = replace(PIXELS, seed=1) if change == "seed" else PIXELS
    if change == "image":
        Image.new("RGB", (64, 64), (1, 2, 3)).save(own)
    if change == "question":
        register(replace(source, train=[*source.train[:-1], replace(source.train[-1], text="is it?")]))
    opened = []
    load = feature_extraction._load
    monkeypatch.setattr(feature_extraction, "_load", lambda *image: (opened.append(image), load(*image))[1])
    prepare("tiny", out, options)
    assert len(opened) == (1 if change == "image" else 0)
    prepare("tiny", tmp_path / "whole", options)
    assert _whole(out) == _whole(tmp_path / "whole")


def test_full_disk_is_bad_input_and_no_crash(tiny_dataset: RawDataset, register: Register, tmp_path: Path) -> None:
    register(tiny_dataset)
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(InputError, match=re.escape(f"cannot write prepared data to {out}: ")):
            prepare("tiny", out, PIXELS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not out.exists()
    assert prepare("tiny", out, PIXELS).images.shape == (52, 64, 64, 3)


def test_only_the_most_frequent_answers_are_to_choose_among_and_no_question_is_dropped(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(tiny_dataset)
    data = prepare("tiny", tmp_path / "out", replace(PIXELS, top_answers=2))
    assert data.answers == ["yes", "no"]
    assert data.manifest["counts"] == {"train": 128, "validation": 32, "test": 48}
    # Each image has two questions answered by a colour. Of the twelve test images none has more colours.
    unknown = data.manifest["coverage"]["test"]["answered"] - data.manifest["coverage"]["test"]["known_answers"]
    assert unknown == 24 == int((data.split("test").answers == -1).sum())
    assert data.manifest["as_shipped"]["train"]["questions"] == 160


def test_data_set_lays_down_how_many_answers_there_are(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(replace(tiny_dataset, top_answers=3))
    assert len(prepare("tiny", tmp_path / "three", PIXELS).answers) == 3
    assert len(prepare("tiny", tmp_path / "five", replace(PIXELS, top_answers=5)).answers) == 5


def test_seed_decides_the_cut_of_validation_and_leaves_test_alone(
    tiny_pixels: PreparedData, tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(tiny_dataset)
    other = prepare("tiny", tmp_path / "out", replace(PIXELS, seed=1))
    images = [{q.image for q in data.questions_of("validation")} for data in (tiny_pixels, other)]
    assert images[0] != images[1]
    assert tiny_pixels.questions_of("test") == other.questions_of("test") == tiny_dataset.test
    for data in (tiny_pixels, other):
        assert not {q.image for q in data.questions_of("train")} & {q.image for q in data.questions_of("validation")}


def test_test_split_is_cut_by_image_where_there_is_none(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(replace(tiny_dataset, test=[]))
    data = prepare("tiny", tmp_path / "out", replace(PIXELS, test_share=0.25))
    parts = {name: {q.image for q in data.questions_of(name)} for name in ("train", "validation", "test")}
    assert {name: len(images) for name, images in parts.items()} == {"train": 24, "validation": 6, "test": 10}
    assert len(set.union(*parts.values())) == 40
    other = prepare("tiny", tmp_path / "other", replace(PIXELS, test_share=0.25, seed=1))
    assert {q.image for q in other.questions_of("test")} != parts["test"]


def test_test_share_is_refused_where_there_is_a_test_split(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    register(tiny_dataset)
    with pytest.raises(InputError, match=r"test share must be 0 for data with a test split, but got 0.25"):
        prepare("tiny", tmp_path / "out", replace(PIXELS, test_share=0.25))
    assert _leftovers(tmp_path) == []


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_too_few_images_to_validate_are_refused(
    share: float, tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    kept = tiny_dataset.train[: 8 if share else 4]  # of two images, or one
    register(replace(tiny_dataset, train=kept, test=[]))
    with pytest.raises(
        InputError, match="tiny has training questions about fewer than two images; none would validate"
    ):
        prepare("tiny", tmp_path / "out", replace(PIXELS, test_share=share))
    assert _leftovers(tmp_path) == []


def test_copies_of_a_picture_are_split_together_and_told_of_where_they_are_tested(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    images = dict(tiny_dataset.images)
    for number in range(1, 40, 2):
        images[f"train/{number}"] = images[f"train/{number - 1}"]
    images["test/45"] = images["train/8"]
    register(replace(tiny_dataset, images=images))
    data = prepare("tiny", tmp_path / "out", PIXELS)
    pictures = [{images[question.image] for question in data.questions_of(split)} for split in ("train", "validation")]
    assert not pictures[0] & pictures[1]
    assert [len(each) for each in pictures] == [16, 4]
    flaw = "picture of test questions is also one of the training questions"
    assert data.manifest["problems"] == [f"1 x {flaw}: test/45"]


@pytest.mark.parametrize("out", [".", "..", "/", "a/.."])
def test_a_place_without_a_name_is_refused(out: str, tiny_dataset: RawDataset, register: Register) -> None:
    register(tiny_dataset)
    with pytest.raises(InputError, match=r"prepared data cannot go to .*; accepted: a new folder, such as data/tiny"):
        prepare("tiny", Path(out), PIXELS)


def test_ids_of_any_size_are_kept(tiny_dataset: RawDataset, register: Register, tmp_path: Path) -> None:
    unanswered = [Question("What colour is it?", "", "test/45", id=2**64 - 1)]
    register(replace(tiny_dataset, unanswered=unanswered))
    assert prepare("tiny", tmp_path / "out", PIXELS).questions_of("unanswered")[0].id == 2**64 - 1


def test_unanswered_questions_become_a_split_without_answers(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    unanswered = [Question("What colour is it?", "", "test/45", id=7)]
    register(replace(tiny_dataset, unanswered=unanswered))
    data = prepare("tiny", tmp_path / "out", PIXELS)
    assert data.manifest["counts"]["unanswered"] == 1
    assert data.questions_of("unanswered") == unanswered
    split = data.split("unanswered")
    assert (split.answers.tolist(), split.people.tolist()) == ([-1], [[-1]])
    assert data.manifest["coverage"]["unanswered"]["answered"] == 0


def test_word_vectors_are_kept_for_trainings_that_choose_them(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path
) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("is 1 2\nred 3 4\n")
    register(tiny_dataset)
    data = prepare("tiny", tmp_path / "out", replace(PIXELS, word_vectors=path))
    assert data.word_vectors is not None
    assert data.word_vectors.shape == (len(data.words), 2)
    rows = [data.words.encode(word)[0] for word in ("is", "red")]
    assert data.word_vectors[rows].tolist() == [[1, 2], [3, 4]]
    assert TrainingConfig.from_dict(data.training_defaults).embedding_init == "random"
    assert "embedding_init=pretrained" in " ".join(data.manifest["notes"])
    assert (
        build_model(TrainingConfig(embedding_init="pretrained"), data).question_encoder.embedding.weight.shape[1] == 2
    )
    path.write_text("is 1 2\n")
    with pytest.raises(InputError, match=r"word_vectors '\w+' instead of '\w+'"):
        prepare("tiny", tmp_path / "out", replace(PIXELS, word_vectors=path))


def test_useless_word_vectors_are_told_of_before_images_are_read(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("fish 1 2\n")
    register(tiny_dataset)
    monkeypatch.setattr(feature_extraction, "_load", _stop)
    with pytest.raises(InputError, match="has a vector for none of the 11 words"):
        prepare("tiny", tmp_path / "out", replace(PIXELS, word_vectors=path))
    assert _leftovers(tmp_path) == ["vectors.txt"]


@pytest.mark.parametrize("name", ["daquar-all", "daquar-reduced", "coco-qa", "vqa-v1", "vqa-v2"])
def test_data_set_without_its_folder_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this data set needs --root FOLDER"):
        prepare(name, tmp_path / "out")


def test_data_are_the_same_whichever_precision_they_were_prepared_in(
    tiny_dataset: RawDataset, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster has machines with bfloat16 and without."""
    register(tiny_dataset)
    first = prepare("tiny", tmp_path / "first", PIXELS)
    for precision in ("float32", "bfloat16"):
        monkeypatch.setattr(preparation, "fastest_precision", lambda _, precision=precision: precision)
        assert prepare("tiny", tmp_path / "first", PIXELS).fingerprint == first.fingerprint
        other = prepare("tiny", tmp_path / precision, PIXELS)
        assert other.fingerprint == first.fingerprint
        assert other.manifest["precision"] == precision
