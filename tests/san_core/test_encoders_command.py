import subprocess
from collections.abc import Callable

import pytest

from san_core import encoders

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_part_of_a_name_finds_names(run_here: Run) -> None:
    done = run_here(encoders.main, "small_patch14_dinov2")
    assert done.returncode == 0
    assert done.stdout.split() == ["timm:vit_small_patch14_dinov2.lvd142m"]
    assert "the layers of one: python -m san_core.encoders NAME" in done.stderr
    found = run_here(encoders.main, "torchvision:swin_?").stdout.split()
    assert found == []
    found = run_here(encoders.main, "torchvision:swin_?.*").stdout.split()
    assert found == [f"torchvision:swin_{size}.IMAGENET1K_V1" for size in "bst"]


def test_a_name_shows_its_layers(run_here: Run) -> None:
    printed = run_here(encoders.main, "timm:test_vit", "--image-size", "64").stdout
    assert printed.startswith("timm:test_vit.r160_in1k: images of 64 pixels, mean 0.500, ")
    rows = [line.split() for line in printed.splitlines()]
    assert ["blocks.0", "64", "4", "x", "4"] in rows
    assert rows[-1] == ["norm", "64", "4", "x", "4", "default"]
    assert len(run_here(encoders.main, "timm:test_vit", "--all").stdout.splitlines()) > 2 * len(rows)
    assert "pool5         512  14 x 14  default" in run_here(encoders.main, "vgg19").stdout


def test_without_a_name_it_says_how_to_go_on(run_here: Run) -> None:
    printed = run_here(encoders.main).stdout
    assert printed.startswith("efficientnet-lite0\n")
    assert "timm:NAME, 1," in printed


def test_unknown_name_is_one_line(run_here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_here(encoders.main, "torchvision:resnet50.V7")
    assert done.returncode == 2
    assert done.stderr.startswith("error: torchvision:resnet50 has no weights V7; accepted: ")
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    done = run_here(encoders.main, "timm:resnet18")
    assert done.returncode == 2
    assert "error: image encoders timm:NAME need the package timm (" in done.stderr
    done = run_here(encoders.main, "mobilenet_v2")
    assert done.stdout.split() == ["torchvision:mobilenet_v2.IMAGENET1K_V1", "torchvision:mobilenet_v2.IMAGENET1K_V2"]
    assert "pip install timm" in done.stderr
