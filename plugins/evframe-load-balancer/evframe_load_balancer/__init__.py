"""Destinations with capacities for evframe: their health by probing, and sessions that count as load."""

from evframe_load_balancer.balancing import NotAvailable
from evframe_load_balancer.destinations import Destination
from evframe_load_balancer.events import StatusChanged
from evframe_load_balancer.options import DestinationOptions, Options
from evframe_load_balancer.plugin import LoadBalancer
from evframe_load_balancer.sessions import Session

__all__ = ["Destination", "DestinationOptions", "LoadBalancer", "NotAvailable", "Options", "Session", "StatusChanged"]
