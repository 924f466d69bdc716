import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from san_core.data.preparation import Options, prepare
from san_core.data.prepared import FORMAT, PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.data.readers import READERS
from san_core.errors import InputError
from tuning.planning.data import open_data

FOLDER = Path("data/easy-vqa")
FORMER = Options(layer="features", grid=4, image_size=128)


@pytest.fixture(autouse=True)
def _embedded(tiny_dataset: RawDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The squares are easy-VQA, and nothing is prepared."""
    monkeypatch.chdir(tmp_path)
    squares = replace(tiny_dataset, name="easy-vqa", layer="reduction_3", grid=8)
    monkeypatch.setitem(READERS, "easy-vqa", lambda *_: squares)


def _to_older_format(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT - 1}))


@pytest.mark.parametrize("change", [lambda _: None, _to_older_format], ids=["former defaults", "older format"])
def test_embedded_data_of_an_earlier_version_are_kept_and_prepared_again(
    change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    former = prepare("easy-vqa", FOLDER, FORMER if change is not _to_older_format else Options())
    change(FOLDER)
    data = open_data(["easy-vqa"])[""]
    assert (data.layer, data.grid, data.manifest["format"]) == ("reduction_3", 8, FORMAT)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "earlier version" in line]
    kept = Path(f"data/easy-vqa-{former.fingerprint}")
    assert said.startswith(f"{FOLDER} was prepared by an earlier version and is prepared again; ")
    assert f" now {kept}, " in said
    assert json.loads((kept / "manifest.json").read_text())["fingerprint"] == former.fingerprint
    assert open_data(["easy-vqa"])[""].manifest == data.manifest
    assert "earlier version" not in capsys.readouterr().err


def test_data_that_the_user_prepared_otherwise_are_not_touched() -> None:
    prepare("easy-vqa", FOLDER, replace(FORMER, grid=2))
    prepare("easy-vqa", Path("data/mine"), FORMER)
    with pytest.raises(InputError, match="data/easy-vqa was prepared from something else: layer 'features' instead of"):
        open_data(["easy-vqa"])
    assert PreparedData.open(FOLDER).grid == 2
    assert open_data(["data/mine"])[""].grid == 4
    assert sorted(path.name for path in Path("data").iterdir() if not path.name.startswith(".")) == ["easy-vqa", "mine"]
