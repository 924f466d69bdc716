"""The files in docs/cluster/: what they start is accepted, and what they copy is there."""

import shlex

import pytest
import yaml

from tests.docs.pages import ROOT
from tuning.options.command_line import parse_options

FOLDER = ROOT / "docs" / "cluster"
SEARCH = "python -m tuning.search "


def _search_in(name: str) -> str:
    """The arguments of the search that a file starts."""
    text = (FOLDER / name).read_text()
    return next(line for line in text.splitlines() if SEARCH in line).partition(SEARCH)[2]


@pytest.mark.parametrize("name", ["search.sbatch", "rayjob.yaml"])
def test_the_options_of_a_search_are_accepted(name: str) -> None:
    options = parse_options(shlex.split(_search_in(name)))
    assert options.address == "auto"
    assert options.run


def test_the_job_for_kubernetes_has_what_kuberay_needs() -> None:
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert all(isinstance(value, str) for group in groups for value in group["rayStartParams"].values())
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert all(isinstance(limit, str) for limit in container["resources"]["limits"].values())


def test_the_docker_file_copies_what_the_package_consists_of() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert {"tuning", "san_core", "search_spaces", "results", "pyproject.toml", "constraints.txt"} <= copied
    assert all((ROOT / name).exists() for name in copied)
