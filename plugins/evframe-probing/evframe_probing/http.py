"""Probes by HTTP requests: only the status is read."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp
from evframe_wire.addresses import connection_problem

from evframe.plugin import Resolver
from evframe_probing.failures import NoReply
from evframe_probing.resolving import HttpResolver

_HEADERS: Final = {"User-Agent": "evframe", "Accept": "*/*"}


class HttpProbes:
    """Sends requests, each on another connection, so that each probe also tests connecting.

    Redirections are not followed: their status is the answer.

    Args:
        resolver: for the names of hosts.
        tls: how servers are verified.
        method: of the requests.
    """

    def __init__(self, resolver: Resolver, tls: ssl.SSLContext, method: str) -> None:
        self._resolver = HttpResolver(resolver)
        self._tls = tls
        self._method = method
        self._session: aiohttp.ClientSession | None = None

    async def status(self, url: str) -> int:
        """Return the status of the answer, which may never come: give it a time limit.

        Raises:
            NoReply, OSError: if there is none.
        """
        try:
            return await self._status(url)
        except TimeoutError:
            raise  # it may be an error of the library, too
        except aiohttp.ClientConnectorDNSError:
            raise NoReply(None, "no_such_host") from None
        except aiohttp.ClientError as error:
            raise NoReply(503, _reason(error)) from None

    async def _status(self, url: str) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, force_close=True, ssl=self._tls, resolver=self._resolver, use_dns_cache=False
                ),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
            )
        async with self._session.request(self._method, url, allow_redirects=False) as answer:
            answer.close()  # its body is not read
            return answer.status

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _reason(error: aiohttp.ClientError) -> str:
    """Return why a connection has come to nothing."""
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed"
    return connection_problem(error) if isinstance(error, OSError) else "protocol"
