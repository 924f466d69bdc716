"""The metrics reported in the literature, by name, and scores grouped by type of question."""

from san_core.metrics.catalogue import METRICS, Metric, get_metric
from san_core.metrics.groups import Group, group_scores

__all__ = ["METRICS", "Group", "Metric", "get_metric", "group_scores"]
