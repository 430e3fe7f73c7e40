"""Gateways that share leases and load on Apache Kafka."""

from evframe_fleet.options import Options
from evframe_fleet.plugin import FleetPlugin

__all__ = ["FleetPlugin", "Options"]
