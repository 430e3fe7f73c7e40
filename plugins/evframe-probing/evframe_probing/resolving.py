"""The shared resolver as an HTTP client takes it."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from evframe import Unavailable
from evframe.plugin import Resolver


class HttpResolver(AbstractResolver):
    """Looks up the names of an HTTP client.

    Args:
        resolver: that all plugins share.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*; OSError when it does not resolve."""
        try:
            addresses = await self._resolver.addresses(host, port)
        except Unavailable as error:
            raise socket.gaierror(socket.EAI_NONAME, error.reason) from None
        return [
            ResolveResult(
                hostname=host,
                host=address.ip,
                port=port,
                family=address.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
            if family in {socket.AF_UNSPEC, address.family}
        ]

    async def close(self) -> None:
        """Leave the resolver to the others."""
