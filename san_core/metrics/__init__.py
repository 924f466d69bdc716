"""How good answers are, as the literature measures it."""

from san_core.metrics.catalogue import METRICS, Metric, metric_called
from san_core.metrics.groups import Group, breakdown

__all__ = ["METRICS", "Group", "Metric", "breakdown", "metric_called"]
