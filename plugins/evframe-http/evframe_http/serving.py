"""Connections that are served by a library which is imported beside the loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evframe.plugin import LateModule

if TYPE_CHECKING:
    from evframe_http.connections import HttpServer

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
        with suppress(OSError):  # of a client that has gone, or does not speak TLS
            await asyncio.get_running_loop().connect_accepted_socket(server, accepted, ssl=self._tls())

    async def end(self) -> None:
        """End all connections, after a moment for the requests under way."""
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(_SHUTDOWN_S)
