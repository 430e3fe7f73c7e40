"""The address of this program that a gateway gets: the socket of the subscriber, and the host in it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, Final, Literal

from evframe_client.lookups import look_up
from evframe_client.urls import Url

Kind = Literal["udp", "unix", "tcp"]
LOCAL: Final = "127.0.0.1"
"""What reaches this program from a gateway that is reached through a path."""


def subscriber_text(kind: Kind, address: Any, host: str | None = None) -> str:
    """Return a receiver's *address* as the gateway gets it, with *host* in place of the host in it."""
    if kind == "unix":
        return f"unix:{address}"
    host = host or str(address[0])
    return f"{kind}:{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{address[1]}"


def check_address(address: str) -> str:
    """Return *address* as the system takes it.

    Raises:
        ValueError: if it is not one that a gateway can send to.
    """
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        parsed = None
    if parsed is None or parsed.is_unspecified:
        raise ValueError(f"address: expected the IP address at which the gateway reaches this program, got {address!r}")
    return str(parsed)


async def own_address(url: Url) -> str:
    """Return the address from which this program reaches the gateway at *url*."""
    place = url.place
    if place is None:
        return LOCAL
    found = await look_up(*place, socket.SOCK_DGRAM)
    # The original sends events over IPv4 alone.
    addresses = sorted(((one[0], one[4]) for one in found), key=lambda one: one[0] != socket.AF_INET)
    return source_address(addresses)


def source_address(addresses: Iterable[tuple[int, Any]]) -> str:
    """Return the address of this host for the first of *addresses*, each with its family, that has a route.

    Raises:
        OSError: if none has.
    """
    problem: OSError | None = None
    for family, address in addresses:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(address)  # sends nothing
            except OSError as error:
                problem = error
            else:
                return str(probe.getsockname()[0])
    raise problem or OSError("expected a host with an address")
