"""Where the brokers of a cluster are: their names, looked up by the resolver of all plugins."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from evframe.plugin import (
    FORBIDDEN,
    UNRESOLVED,
    HostAddress,
    Network,
    Resolver,
    connection_problem,
    is_within,
)

_CONNECT_S: Final = 1.0


class Places:
    """The addresses of brokers.

    The library would look names up on the threads that the loop has for all callers: a few that are never answered
    would hold up all others. It gets addresses; with TLS it gets the names, for the sake of the certificates, when
    they resolve.

    Args:
        endpoints: hosts and ports of the brokers to begin with.
        resolver: looks names up.
        by_name: whether the library needs the names.
        networks: returns those in which the brokers may be that a cluster names; None for any.
    """

    def __init__(
        self,
        endpoints: Sequence[tuple[str, int]],
        resolver: Resolver,
        *,
        by_name: bool,
        networks: Callable[[], Sequence[Network] | None] = lambda: None,
    ) -> None:
        self.endpoints = endpoints
        self._resolver = resolver
        self._by_name = by_name
        self._networks = networks
        self._named: set[str] = set()  # by the cluster, in use

    async def servers(self) -> list[str]:
        """Return the brokers to begin with as the library takes them, without those that do not resolve.

        Raises:
            Unavailable: if none resolves.
        """
        found = await asyncio.gather(
            *(self._resolver.addresses(host, port) for host, port in self.endpoints), return_exceptions=True
        )
        servers = [
            _server(host if self._by_name else address.ip, port)
            for (host, port), addresses in zip(self.endpoints, found, strict=True)
            if not isinstance(addresses, BaseException)
            for address in (addresses[:1] if self._by_name else addresses)
        ]
        try:
            if not servers:
                raise next(error for error in found if isinstance(error, BaseException))
        finally:
            del found  # the traceback of the error has this frame, and would form a cycle
        return servers

    async def connection_problem(self) -> str | None:
        """Return the word for why no connection to the brokers to begin with can be made; None when one can be made.

        The errors of the library do not have the cause.

        Raises:
            Unavailable: if none of the names resolves.
        """
        servers = [
            (address.ip, port)
            for host, port in self.endpoints
            for address in await self._resolver.addresses(host, port)
        ]
        problems = await asyncio.gather(*(_problem_at(ip, port) for ip, port in servers))
        return problems[0] if all(problems) else None

    def forget(self) -> None:
        """Have the names looked up again, because no broker could be reached."""
        for host, _ in self.endpoints:
            self._resolver.forget(host)

    def watch(self, client: Any) -> None:
        """Have *client*, one of the library, use the resolver for the brokers that its cluster names, too."""
        client.cluster.broker_metadata = partial(self._broker, weakref.ref(client.cluster))

    def _broker(self, cluster: weakref.ref[Any], node_id: Any) -> Any:
        """Return where a broker is; None, as for one that is not known, until its name is looked up."""
        known = cluster()
        broker = None if known is None else type(known).broker_metadata(known, node_id)
        if broker is None:
            return None
        if broker.host not in self._named:
            self._named.add(broker.host)
            self._resolver.use(broker.host)  # which looks it up
        addresses = self._addresses(broker)
        if not addresses:
            return None
        return broker if self._by_name else broker._replace(host=addresses[0].ip)

    def _addresses(self, broker: Any) -> Sequence[HostAddress]:
        """Return the addresses of a broker that may be connected to, as far as they are known."""
        known, networks = self._resolver.known(broker.host, broker.port) or (), self._networks()
        if networks is None:
            return known
        permitted = [address for address in known if is_within(address.ip, networks)]
        return () if self._by_name and len(permitted) < len(known) else permitted  # by a name, any may be taken

    def problem(self, client: Any) -> str | None:
        """Return why none of the brokers that the cluster of *client* names has an address; None when one has."""
        problems = [self._problem(broker) for broker in client.cluster.brokers()]
        return problems[0] if problems and all(problems) else None

    def _problem(self, broker: Any) -> str | None:
        if self._addresses(broker):
            return None
        if self._resolver.known(broker.host, broker.port):
            return FORBIDDEN
        return self._resolver.problem(broker.host) or UNRESOLVED

    async def look_up(self, client: Any) -> None:
        """Look up the names of the brokers that the cluster of *client* has."""
        brokers = client.cluster.brokers()
        await asyncio.gather(
            *(self._resolver.addresses(broker.host, broker.port) for broker in brokers), return_exceptions=True
        )

    def close(self) -> None:
        """Look the names of brokers up no more."""
        named, self._named = self._named, set()
        for host in named:
            self._resolver.release(host)


async def _problem_at(ip: str, port: int) -> str | None:
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(ip, port)
    except TimeoutError:
        return "connect_timeout"
    except OSError as error:
        return connection_problem(error)
    writer.close()
    return None


def _server(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
