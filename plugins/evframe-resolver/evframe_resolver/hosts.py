"""Addresses of hosts: numeric ones, the networks that they are in, and connections to one of several."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import attrs
from evframe_wire.addresses import without_brackets

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Connected = TypeVar("_Connected")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
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


def is_public(address: str) -> bool:
    """Return whether a connection to *address* leaves the networks of an organisation, as a host of the Internet does.

    An address of IPv6 that leads to one of IPv4 is compared as that one.
    """
    return _is_public(ipaddress.ip_address(address.partition("%")[0]))


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return ip.is_global and not ip.is_multicast


async def first_reached(
    addresses: Sequence[HostAddress], connect: Callable[[HostAddress], Awaitable[_Connected]], timeout_s: float
) -> _Connected:
    """Return the result of *connect* for the first of *addresses* that can be reached.

    Each attempt may take an equal part of the remaining time, so that an address that does not
    answer leaves time for the addresses after it.

    Raises:
        OSError: the error of the last address; TimeoutError when that address did not answer.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + timeout_s
    last: OSError | None = None
    try:
        for tried, address in enumerate(addresses):
            now = clock()
            try:
                async with asyncio.timeout_at(now + (end - now) / (len(addresses) - tried)):
                    return await connect(address)
            except OSError as error:
                last = error
        raise last or OSError(errno.EHOSTUNREACH, "no address")
    finally:
        last = None  # the traceback of the error has this frame, and would form a cycle
