"""`~` in the paths that commands and functions take."""

import re
from pathlib import Path

import pytest
from PIL import Image

import san_core
from results.run_folder import RunFolder
from san_core.checkpoint import save_model
from san_core.command_line import path
from san_core.config import TrainingConfig
from san_core.data.preparation import prepare
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import Location, TableFiles
from san_core.errors import InputError
from san_core.export import export_model
from san_core.files import from_home, path_from_home
from san_core.models.san import SAN
from san_core.prediction.attention_map import draw_attention


def test_a_wave_at_the_beginning_is_the_home_folder() -> None:
    assert path("~/pictures/a.png") == Path.home() / "pictures" / "a.png"
    assert from_home("a/~b") == "a/~b"
    assert from_home("s3://bucket/~x") == "s3://bucket/~x"


def test_a_folder_whose_name_begins_with_a_wave_is_given_on_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-here").mkdir()
    assert path_from_home(path("./~nobody-here")).is_dir()
    assert path_from_home(RunFolder.locate("./~nobody-here")).is_dir()


def test_functions_look_in_the_home_folder() -> None:
    home = re.escape(str(Path.home()))
    for call in (
        lambda: san_core.load("~/no-model"),
        lambda: PreparedData.open(Path("~/no-data")),
        lambda: prepare("easy-vqa", Path("~/..")),
        lambda: RunFolder.open(Path("~/no-run")),
        lambda: prepare("daquar-all", Path("data/x"), location=Location(root=Path("~/no-files"))),
        lambda: prepare("table", Path("data/x"), location=Location(table=TableFiles(splits={"test": [Path("~/no")]}))),
    ):
        with pytest.raises(InputError, match=home):
            call()


def test_functions_write_into_the_home_folder(
    tiny_network: SAN,
    tiny_config: TrainingConfig,
    tiny_data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    save_model(Path("~/model"), tiny_network, tiny_config, tiny_data, {})
    reply = san_core.load("~/model").ask("~/picture.png", "is it red?")
    draw_attention(Image.open(tmp_path / "picture.png"), "is it red?", reply, Path("~/looked.png"))
    with pytest.raises(InputError, match=f"^cannot export to {re.escape(str(tmp_path))}/model: "):
        export_model("~/model", "~/model")
    assert {each.name for each in tmp_path.iterdir()} == {"model", "picture.png", "looked.png"}
