"""Run-time clients choose where events are sent: to public addresses alone, and to networks that are permitted."""

from __future__ import annotations

from collections.abc import Sequence

from evframe_resolver import is_public

from evframe import Socket, Unavailable
from evframe.plugin import FORBIDDEN, HostAddress, Network, Resolver, endpoints_of, is_within, numeric
from evframe_http.holders import Holders


def is_permitted(address: str, networks: Sequence[Network]) -> bool:
    """Return whether run-time clients may have events sent to *address*: a public one, or one in *networks*."""
    return is_within(address, networks) or is_public(address)


async def permitted_addresses(
    socket: Socket, resolver: Resolver, holders: Holders, networks: Sequence[Network]
) -> Sequence[HostAddress]:
    """Return the addresses that events for *socket* may be sent to, which connections are made to then.

    A name may have got another address since it was subscribed. A numeric host cannot, so that it is refused when it is
    subscribed, by the attribute `reserved` of its socket.

    Args:
        socket: that of the subscriber, with one endpoint.
        resolver: looks its host up.
        holders: knows who has subscribed it.
        networks: those that are permitted though they are not public.

    Raises:
        Unavailable: if no address may be used, or the host has none.
    """
    ((host, port),) = endpoints_of(socket)
    found = await resolver.addresses(host, port)
    if numeric(host, port) is None and holders.are_clients(socket):
        found = tuple(address for address in found if is_permitted(address.ip, networks))
    if not found:
        raise Unavailable(FORBIDDEN)
    return found
