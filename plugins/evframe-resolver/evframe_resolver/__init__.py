"""Host names: looked up beside the loop, bounded, shared, and followed when their addresses change."""

from evframe_resolver.hosts import HostAddress, Network, first_reached, is_public, is_within, numeric
from evframe_resolver.resolver import FORBIDDEN, UNRESOLVED, Resolver, UnresolvedError

__all__ = [
    "FORBIDDEN",
    "UNRESOLVED",
    "HostAddress",
    "Network",
    "Resolver",
    "UnresolvedError",
    "first_reached",
    "is_public",
    "is_within",
    "numeric",
]
