"""What Ray reserves for a worker, and on which nodes."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune

from tuning.execution.placement import Placement
from tuning.study.tune_interface import TRIAL_SETUP, UNUSABLE_NODES

_NODE_ID = "ray.io/node-id"
"""Label that Ray gives every node."""


def resources(each: Mapping[str, float], unusable: Sequence[str] = ()) -> tune.PlacementGroupFactory:
    """The cores and GPUs of a worker, on any node but those with the ids `unusable`."""
    if not unusable:
        return tune.PlacementGroupFactory([dict(each)])
    others = [{_NODE_ID: f"!in({','.join(unusable)})"}]
    return tune.PlacementGroupFactory([dict(each)], bundle_label_selector=others)


def resources_of(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    """The same for what Tune runs with a configuration."""
    placement: Placement = config[TRIAL_SETUP].placement
    return resources({"CPU": placement.cpus, "GPU": placement.gpus}, config.get(UNUSABLE_NODES, ()))
