"""`evframe check --connect`: whether each configured target can be reached, and the addresses of its names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
from evframe_resolver import numeric

from evframe.delivery.probes import MOST, is_asked, problem_of
from evframe.delivery.sockets import endpoints_of
from evframe.exceptions import DeliveryError
from evframe.subscriptions.roster import release

if TYPE_CHECKING:
    from evframe.delivery.members import Address
    from evframe.plugins.composition import Composition
    from evframe.subscriptions.resolving import Resolver


@attrs.frozen
class Finding:
    """What was found out about one target.

    *names* has the addresses of each host name, or the reason why it has none; *problem* is why
    the target cannot be reached, None when it can.
    """

    socket: str
    names: dict[str, str]
    problem: str | None
    is_asked: bool = True
    """Whether the transport can know."""

    def __str__(self) -> str:
        verdict = self.problem or ("reachable" if self.is_asked else "not tried, the transport makes no connection")
        # The reason of a single name is that of the target already.
        names = {} if [*self.names.values()] == [self.problem] else self.names
        # A host that the text does not have is the value of a reference.
        shown = ((name if name in self.socket else "a host", found) for name, found in names.items())
        return f"{self.socket}: {verdict}" + "".join(f"; {name} is {found}" for name, found in shown)


async def reach(composition: Composition) -> list[Finding]:
    """Try every target of the configured subscriptions, side by side; nothing is delivered and nothing started.

    Each member of a combined socket is another target.
    """
    free = asyncio.Semaphore(MOST)
    targets = {each.socket.canonical: each for each in _targets(composition)}

    async def attempt(target: Address) -> Finding:
        async with free:
            return await _try(target, composition.resolver)

    try:
        return list(await asyncio.gather(*map(attempt, targets.values())))
    finally:
        for target in targets.values():
            release(target.transport.unsubscribed, target.socket)
        await composition.stop(1.0)
        composition.resolver.close()


def _targets(composition: Composition) -> Iterator[Address]:
    for lease in composition.draft.leases.values():
        yield from _leaves(lease.address)


def _leaves(target: Address) -> Iterator[Address]:
    members: Sequence[Address] = getattr(target.socket, "members", ())
    if not members:
        yield target
    for member in members:
        yield from _leaves(member)


async def _try(target: Address, resolver: Resolver) -> Finding:
    socket = target.socket
    hosts = dict.fromkeys(host for host, port in endpoints_of(socket) if numeric(host, port) is None)
    names = {host: await _addresses(resolver, host) for host in hosts}
    return Finding(socket.canonical, names, await _problem(target), is_asked(socket))


async def _addresses(resolver: Resolver, host: str) -> str:
    try:
        return ", ".join(address.ip for address in await resolver.addresses(host, 0))
    except DeliveryError as error:
        return error.reason


async def _problem(target: Address) -> str | None:
    """Return why the peer of *target* cannot be reached."""
    try:
        return await problem_of(target)
    except Exception as error:  # noqa: BLE001 what a plugin raises is what was found
        return f"{type(error).__name__}: {error}"
