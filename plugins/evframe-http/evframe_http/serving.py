"""Connections that are served by a library which is imported beside the loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evframe.plugin import LateModule
from evframe_http.room import most_connections

if TYPE_CHECKING:
    from evframe_http.connections import HttpServer

_HANDSHAKE_S: Final = 10.0
_SHUTDOWN_S: Final = 1.0  # for requests under way


class Serving:
    """Serves connections from any listeners, with one server.

    Args:
        library: the module of the plugin that imports aiohttp.
        make: returns the server, made with that module.
        tls: returns what connections from now on are encrypted with, or None.
    """

    def __init__(
        self, library: str, make: Callable[[Any], HttpServer], tls: Callable[[], ssl.SSLContext | None] = lambda: None
    ) -> None:
        self._library = LateModule(library)
        self._make = make
        self._tls = tls
        self._server: HttpServer | None = None
        self._shaking: dict[asyncio.Task[Any], None] = {}  # hands, the longest first

    async def begin(self) -> HttpServer:
        """Return the server, which is made at the first call."""
        library = await self._library.get()
        if self._server is None:
            self._server = self._make(library)
        return self._server

    async def take_over(self, accepted: socket.socket) -> None:
        """Serve the connection *accepted*."""
        try:
            server = await self.begin()
        except BaseException:
            accepted.close()
            raise
        tls = self._tls()
        with suppress(OSError):  # of a client that has gone, or does not speak TLS
            if tls is None:
                await asyncio.get_running_loop().connect_accepted_socket(server, accepted)
            else:
                await self._shake(server, accepted, tls)

    async def _shake(self, server: HttpServer, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        """Begin TLS; of too many clients that say nothing, the first one is given up."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._shaking) >= most_connections():
            oldest = next(iter(self._shaking))
            del self._shaking[oldest]
            oldest.cancel()
        self._shaking[task] = None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                server, accepted, ssl=tls, ssl_handshake_timeout=_HANDSHAKE_S
            )
        finally:
            self._shaking.pop(task, None)

    async def end(self) -> None:
        """End all connections, after a moment for the requests under way."""
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(_SHUTDOWN_S)
