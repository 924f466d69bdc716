"""Runs a measurement in a process of its own that has a GPU, on this machine or on nodes of the cluster."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tuning.execution.driver_files import DriverFiles, driver_files, get_result
from tuning.execution.node_data import data_on_this_node
from tuning.execution.ray_session import joined

Result = TypeVar("Result")

_ACCELERATOR = "accelerator_type:"
"""What the resource that Ray gives a node for its kind of GPU begins with."""


def measure(
    measurement: Callable[..., Result],
    config: TrainingConfig,
    data: PreparedData,
    *arguments: object,
    address: str | None = None,
) -> list[Result]:
    """What `measurement(config, folder of the data, *arguments)` returns in a process that ends afterwards.

    It runs on this machine if that has a GPU, or if there is no cluster; else on one node of each kind of GPU that the
    cluster has, so that there may be several results.

    Args:
        measurement: function of a module.
        config: first argument.
        data: the data set, whose folder is the second argument.
        arguments: further arguments.
        address: address of the cluster; None for the Ray that the program has, if any.

    Raises:
        InputError: if the process or its node dies, or the cluster cannot be joined.
    """
    if torch.cuda.is_available() or (address is None and not ray.is_initialized()):
        try:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                return [pool.submit(measurement, config, data.folder, *arguments).result()]
        except BrokenProcessPool as error:
            raise InputError("the process that measures for `auto` has died; accepted: a number") from error
    with joined(address), driver_files({data.fingerprint: data.folder}) as files:
        nodes = _one_node_of_each_kind()
        print_message(f"measuring on {', '.join(nodes.values())}, since this machine has no GPU")
        tasks = [
            _on_node.options(
                num_cpus=0, num_gpus=1, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(measurement, config, data.folder, files, arguments)
            for node in nodes
        ]
        return list(_results(tasks))


def _results(tasks: Sequence[Any]) -> Any:  # noqa: ANN401 - results of the measurement
    try:
        return get_result(list(tasks))
    except RayTaskError:
        raise
    except RayError as error:
        raise InputError(f"the node that measures for `auto` has died ({error}); accepted: a number") from error


@ray.remote(max_calls=1)  # the process ends, and with it what it takes of the GPU
def _on_node(
    measurement: Callable[..., Any],
    config: TrainingConfig,
    folder: Path,
    files: DriverFiles,
    arguments: Sequence[object],
) -> Any:  # noqa: ANN401 - result of the measurement
    data = folder if files.are_here else data_on_this_node(folder, files).folder
    return measurement(config, data, *arguments)


def _one_node_of_each_kind() -> dict[str, str]:
    """The addresses of the nodes, by id: one for each kind of GPU.

    Raises:
        InputError: if no node has a GPU any more.
    """
    found: dict[str, tuple[str, str]] = {}
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"] and node["Resources"].get("GPU", 0) >= 1:
            kind = next((name for name in node["Resources"] if name.startswith(_ACCELERATOR)), "")
            found.setdefault(kind, (node["NodeID"], node["NodeManagerAddress"]))
    if not found:
        raise InputError("no node of the cluster has a GPU any more to measure on; accepted for `auto`: a number")
    return dict(found.values())
