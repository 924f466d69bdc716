"""Networks of torchvision and timm, from pictures to a model that answers; one Ray serves all searches."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from results.run_folder import RunFolder
from san_core import predict as predict_command
from san_core import prepare as prepare_command
from san_core.data.raw_dataset import RawDataset
from tests.san_core.models.random_weights import BACKBONES, library_caches
from tests.tuning.small_searches import small_search
from tuning import retrain as retrain_command
from tuning import search as search_command

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("one_ray")]

SIZES = {"torchvision:vit_b_16": 64, "timm:vit_small_patch14_dinov2": 56}
SMALL = small_search(batch_size=32)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SIZES else pytest.mark.rare) for name in BACKBONES]
)
def test_a_network_is_prepared_searched_retrained_and_asked(
    name: str,
    tiny_dataset: RawDataset,
    register: Callable[[RawDataset], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_here: Callable[..., "CompletedProcess[str]"],
) -> None:
    register(tiny_dataset)
    library_caches(tmp_path / "caches", monkeypatch)(name)
    monkeypatch.chdir(tmp_path)

    def run(command: Callable[[], int | None], *arguments: object) -> str:
        done = run_here(command, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    size = SIZES.get(name, 64)
    run(prepare_command.main, "tiny", "--encoder", name, "--image-size", size, "--out", "data/mine")
    shutil.rmtree(tmp_path / "caches")  # whoever searches on the data needs no weights
    run(search_command.main, "--data", "data/mine", "--run", "mine", *SMALL)
    run(retrain_command.main, "mine", "--seeds", "1")
    found = RunFolder(tmp_path / "runs" / "mine")
    assert len(found.study().trials) == 2
    model = found.retrained / "best"
    picture = tiny_dataset.images[tiny_dataset.test[0].image]
    reply = run(predict_command.main, model, picture, "is it red?", "--attention", "looked.png")
    assert len(re.findall(r"^ *\d+\.\d%  (?:yes|no|red|green|blue|yellow)$", reply, re.MULTILINE)) == 5
    assert (tmp_path / "looked.png").is_file()
    described = found.setting("images")
    weights = json.loads((tmp_path / "data" / "mine" / "manifest.json").read_text())["inputs"]["weights"]
    assert name in described
    assert weights in described
    assert weights in (found.path / "report.html").read_text()
    assert weights in (model / "README.md").read_text()
