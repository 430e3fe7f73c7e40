"""The route transport of evframe: ``route:`` subscribers, Python callables that get the events."""

from evframe_route.options import Options
from evframe_route.plugin import RouteSocket, RouteTransport

__all__ = ["Options", "RouteSocket", "RouteTransport"]
