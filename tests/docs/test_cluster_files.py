"""The files in docs/cluster/: what they start is accepted, and what they copy is there.

`SAN_RAYJOB_SCHEMA=FILE` in the environment also checks the job for Kubernetes with KubeRay's own schema, which is too
long to be kept here: `helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml` of github.com/ray-project/kuberay.
"""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT
from tuning.options.command_line import parse_options

FOLDER = ROOT / "docs" / "cluster"
SEARCH = "python -m tuning.search "

FIELDS = {
    "spec": {"entrypoint", "shutdownAfterJobFinishes", "rayClusterSpec"},
    "rayClusterSpec": {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"},
    "headGroupSpec": {"rayStartParams", "template"},
    "workerGroupSpecs": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}
"""The fields that the job uses of KubeRay's, as its releases 1.1.0 to 1.7.0 call them."""

SCHEMA = os.environ.get("SAN_RAYJOB_SCHEMA")


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


def test_the_job_for_kubernetes_names_fields_of_kuberay_and_the_ray_that_is_installed() -> None:
    spec = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())["spec"]
    cluster = spec["rayClusterSpec"]
    (workers,), head = cluster["workerGroupSpecs"], cluster["headGroupSpec"]
    found = {"spec": spec, "rayClusterSpec": cluster, "headGroupSpec": head, "workerGroupSpecs": workers}
    assert {name: set(part) for name, part in found.items()} == FIELDS
    assert f"ray=={cluster['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()


@pytest.mark.skipif(not SCHEMA, reason="SAN_RAYJOB_SCHEMA does not name KubeRay's schema of a RayJob")
def test_the_job_for_kubernetes_satisfies_the_schema_of_kuberay() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    definition = yaml.load(Path(SCHEMA or "").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    (schema,) = (
        version["schema"]["openAPIV3Schema"] for version in definition["spec"]["versions"] if version["name"] == "v1"
    )
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    assert [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(job)] == []
    assert list(_unknown(schema, {name: part for name, part in job.items() if name != "metadata"})) == []


def _unknown(schema: dict[str, Any], value: object, place: str = "") -> Iterator[str]:
    """The fields of a value that a schema does not have: a JSON schema accepts them, Kubernetes refuses them."""
    if isinstance(value, list):
        for entry in value:
            yield from _unknown(schema.get("items", {}), entry, place)
    if isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in value.items():
            if isinstance(found := named.get(name, others), dict):
                yield from _unknown(found, part, f"{place}.{name}")
            else:
                yield f"{place}.{name}"


def test_the_docker_file_copies_what_the_package_consists_of() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert {"tuning", "san_core", "search_spaces", "results", "pyproject.toml", "constraints.txt"} <= copied
    assert all((ROOT / name).exists() for name in copied)
