"""From host names to addresses, without waiting for one on behalf of another."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import attrs
from aiohttp.abc import AbstractResolver, ResolveResult

_MOST_THREADS: Final = 64


@attrs.frozen
class Address:
    """One address of a host."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]


class Resolver(AbstractResolver):
    """Looks names up on threads of its own; a name is looked up once at a time, whoever asks for it.

    It is the resolver of an HTTP client, too.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MOST_THREADS, "resolver")
        self._under_way: dict[str, asyncio.Future[list[Any]]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses of *host*, at least one.

        Raises:
            OSError: if there is none, `socket.gaierror` if the name is not known.
        """
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            found = await self._look_up(host)
        else:
            v4 = literal.version == 4
            found = [(socket.AF_INET, (host, 0)) if v4 else (socket.AF_INET6, (host, 0, 0, 0))]
        return [Address(family, (sockaddr[0], port, *sockaddr[2:])) for family, sockaddr in found]

    async def _look_up(self, host: str) -> list[Any]:
        work = self._under_way.get(host)
        if work is None:
            loop = asyncio.get_running_loop()
            work = self._under_way[host] = loop.run_in_executor(self._threads, _getaddrinfo, host)
            work.add_done_callback(lambda done: self._over(host, done))
        return await asyncio.shield(work)

    def _over(self, host: str, work: asyncio.Future[list[Any]]) -> None:
        self._under_way.pop(host, None)
        if not work.cancelled():
            work.exception()  # whoever waited has it

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host* as an HTTP client takes them."""
        return [
            ResolveResult(
                hostname=host,
                host=address.sockaddr[0],
                port=port,
                family=address.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self.addresses(host, port)
            if family in {socket.AF_UNSPEC, address.family}
        ]

    async def close(self) -> None:
        """Let the threads end, once their lookups have."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str) -> list[Any]:
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]
