"""The route transport of evframe: ``route:`` subscribers, Python callables that get the events."""

from evframe_route.transport import Options, RouteSocket, RouteTransport

__all__ = ["Options", "RouteSocket", "RouteTransport"]
