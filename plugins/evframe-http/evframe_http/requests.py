"""Requests to one server over connections to the addresses that were checked; imported late, with aiohttp."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from evframe_wire.addresses import connection_problem
from yarl import URL

from evframe import Unavailable
from evframe.plugin import HostAddress, first_reached, without_tracebacks

_MOST_BYTES: Final = 64 << 10  # of a body that is read, so that the connection can be used again
_TIMES: Final = aiohttp.ClientTimeout
Answer = tuple[int, Mapping[str, str]]
"""The status and the headers."""


class CheckedAddresses(AbstractResolver):
    """Resolves a name to the addresses that were looked up and checked before: a second lookup may find others.

    Args:
        host: the name; None for every one. Others, such as that of a proxy, are looked up.
    """

    def __init__(self, host: str | None = None) -> None:
        self._host = host
        self._others = aiohttp.ThreadedResolver()
        self.addresses: Sequence[HostAddress] = ()
        """Those of the name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses."""
        if self._host is not None and host != self._host:
            return await self._others.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host, host=each.ip, port=port, family=each.family, proto=0, flags=socket.AI_NUMERICHOST
            )
            for each in self.addresses
            if family in {socket.AF_UNSPEC, each.family}
        ]

    async def close(self) -> None:
        """Release nothing."""


class HttpSession:
    """The connections to one server, as many as requests are under way.

    Args:
        url: of the requests.
        most: how many connections there may be.
        tls: what certificates are checked with; None without TLS.
        connect_s: the time of a connection in seconds.
    """

    def __init__(self, url: str, most: int, tls: ssl.SSLContext | None, connect_s: float) -> None:
        self._url = URL(url, encoded=True)
        self._tls, self._connect_s = tls, connect_s
        self._resolver = CheckedAddresses()
        connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, limit=most, ssl=tls or True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=_TIMES(total=None, sock_connect=connect_s),
        )

    def use(self, addresses: Sequence[HostAddress]) -> None:
        """Connect to *addresses* from now on."""
        self._resolver.addresses = addresses

    async def request(self, method: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Send a request, and return its answer once its body is read as far as it may be long.

        Raises:
            Unavailable: if there is no answer.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        reason = ""
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._session.request(
                    method, self._url, data=body, headers=headers, allow_redirects=False
                )
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            reason = _problem(without_tracebacks(error))
        if reason:  # outside of the handler, because the library keeps its errors in cycles
            raise Unavailable(reason)
        try:
            async with asyncio.timeout_at(deadline):
                await _skip_body(answer)
        except (aiohttp.ClientError, OSError) as error:
            without_tracebacks(error)  # the status is known
        finally:
            answer.close()  # of a body that was read to its end, the connection is in use again
        return answer.status, answer.headers

    async def probe(self) -> None:
        """Connect, and send nothing.

        Raises:
            Unavailable: if there is no connection.
        """
        reason = ""
        try:
            await first_reached(self._resolver.addresses, self._connect, self._connect_s)
        except OSError as error:
            is_late = isinstance(error, TimeoutError)
            reason = "connect_timeout" if is_late else connection_problem(without_tracebacks(error))
        if reason:
            raise Unavailable(reason)

    async def _connect(self, address: HostAddress) -> None:
        loop = asyncio.get_running_loop()
        kernel = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await loop.sock_connect(kernel, address.sockaddr)
            name = self._url.raw_host if self._tls else None
            transport, _ = await loop.create_connection(
                asyncio.Protocol, sock=kernel, ssl=self._tls, server_hostname=name
            )
        except BaseException:
            kernel.close()
            raise
        transport.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _skip_body(answer: aiohttp.ClientResponse) -> None:
    left = _MOST_BYTES
    while left > 0 and (data := await answer.content.read(left)):
        left -= len(data)


def _problem(error: Exception) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, aiohttp.ServerTimeoutError):  # of `sock_connect`
        return "connect_timeout"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
        return "tls"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed"
    if isinstance(error, OSError):
        return connection_problem(getattr(error, "os_error", error))
    return "bad_reply"
