"""Metrics of evframe for Prometheus, and the state of the process for those that supervise it."""

from evframe_metrics.options import Options
from evframe_metrics.plugin import Metrics

__all__ = ["Metrics", "Options"]
