"""Probes by HTTP requests: only the status is read."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

from evframe_probing.resolving import HttpResolver

_HEADERS: Final = {"User-Agent": "evframe", "Accept": "*/*"}


class HttpProbes:
    """Sends requests, each on a connection of its own, so that each probe also tells about connecting.

    Redirections are not followed: their status is the answer.

    Args:
        resolver: for the names of hosts.
        tls: how servers are verified.
        method: of the requests.
    """

    def __init__(self, resolver: HttpResolver, tls: ssl.SSLContext, method: str) -> None:
        self._resolver = resolver
        self._tls = tls
        self._method = method
        self._session: aiohttp.ClientSession | None = None

    async def status(self, url: str) -> int:
        """Return the status of the answer, which may never come: give it a time limit.

        Raises:
            aiohttp.ClientError, OSError: if there is none.
        """
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
