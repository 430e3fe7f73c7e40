"""The state of one host name, and numeric hosts, which need no lookup."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import socket
from collections.abc import Iterable
from typing import Any, Final

import attrs
from evframe_wire.addresses import without_brackets

from evframe.subscriptions.lookups import Found

UNRESOLVED: Final = "unresolved"
FORBIDDEN: Final = "forbidden"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_UNSPECIFIED: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 where connections to them end


@attrs.frozen
class HostAddress:
    """One address of a host, with the port that was asked for."""

    family: int
    """``AF_INET`` or ``AF_INET6``."""
    sockaddr: tuple[Any, ...]
    """What `connect` takes."""

    @property
    def ip(self) -> str:
        """The address alone."""
        return str(self.sockaddr[0])


def numeric(host: str, port: int) -> tuple[HostAddress, ...] | None:
    """Return the address of a numeric *host*, which may be in brackets; None when *host* is a name."""
    try:
        found = socket.getaddrinfo(
            without_brackets(host), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )
    except (OSError, ValueError):
        return None
    return tuple(HostAddress(int(family), sockaddr) for family, _, _, _, sockaddr in found)


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Return whether a connection to *address* ends in *networks*.

    An IPv4 address within IPv6 is compared as IPv4. The unspecified address is compared as the loopback
    address, where a connection to it ends.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    ip = ipaddress.ip_address(_UNSPECIFIED.get(str(ip), ip))
    return any(ip in network for network in networks)


class Name:
    """The state of one host name: its addresses, its lookup and its limits."""

    __slots__ = (
        "_by_port",
        "answered_at",
        "failed_until",
        "found",
        "has_failed",
        "is_late",
        "is_slow",
        "is_stale",
        "is_usable",
        "limit",
        "networks",
        "users",
        "waiting",
    )

    def __init__(self) -> None:
        self.found: Found = ()  # the last answer, which a later one is compared with
        self.is_usable = False
        self.is_stale = False  # a connection to its addresses has failed since the last answer
        self.answered_at = -math.inf
        self.has_failed = False  # the last lookup has failed
        self.failed_until = -math.inf
        self.is_late = False  # the lookup under way has used up its time
        self.is_slow = False  # the last lookup used up its time, too; its answer may have come since
        self.limit: asyncio.TimerHandle | None = None  # until the lookup under way has used up its time
        self.users = 0
        self.networks: dict[int, tuple[Network, ...]] = {}  # by port, 0 for all; a port without an entry has no limit
        self.waiting: asyncio.Future[None] | None = None
        self._by_port: dict[int, tuple[HostAddress, ...]] = {}

    def at(self, port: int) -> tuple[HostAddress, ...]:
        """Return the permitted addresses with *port*; the same object until they change."""
        known = self._by_port.get(port)
        if known is None:
            known = self._by_port[port] = tuple(
                HostAddress(family, (sockaddr[0], port, *sockaddr[2:]))
                for family, sockaddr in self.found
                if self._permits(sockaddr[0], port)
            )
        return known

    def _permits(self, address: str, port: int) -> bool:
        limits = (self.networks.get(0), self.networks.get(port))
        return all(networks is None or is_within(address, networks) for networks in limits)

    def problem(self, port: int) -> str | None:
        """Return why the name has no address for *port*; None with an address or before the first lookup."""
        if self.is_usable:
            return None if self.at(port) else FORBIDDEN
        return UNRESOLVED if self.has_failed else None

    def take(self, found: Found) -> bool:
        """Store an answer; return whether the set of addresses has changed. Another order is no change."""
        if set(found) == set(self.found):
            return False
        self.found = found
        self._by_port.clear()
        return True

    def restrict(self, networks: tuple[Network, ...] | None, port: int) -> None:
        """Permit only addresses in *networks* for *port*, 0 for all; None permits all."""
        if networks is not None:
            self.networks[port] = networks
        else:
            self.networks.pop(port, None)
        self._by_port.clear()

    def permit(self) -> None:
        """Permit all addresses."""
        if self.networks:
            self.networks.clear()
            self._by_port.clear()

    def end_lookup(self) -> None:
        """Record that no lookup is under way, and whether the last lookup was slow."""
        self.is_slow, self.is_late = self.is_late, False
        if self.limit is not None:
            self.limit.cancel()
            self.limit = None

    def wake(self) -> None:
        """Wake the callers that wait for an answer."""
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
