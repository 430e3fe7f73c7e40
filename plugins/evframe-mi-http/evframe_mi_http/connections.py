"""An HTTP server that tells of each connection that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

Address = tuple[str, int]


class TellingServer(web.Server):
    """See `aiohttp.web.Server`.

    Args:
        answer: returns the response to a request.
        on_closed: called with the client's and the own address of each TCP connection that ends.
        idle_s: returns how long a connection from now on may be idle, in seconds.
    """

    def __init__(self, answer: Any, on_closed: Callable[[Address, Address], None], idle_s: Callable[[], float]) -> None:
        super().__init__(answer)
        self._on_closed = on_closed
        self._idle_s = idle_s

    def __call__(self) -> web.RequestHandler:
        """Return what serves one connection."""
        return web.RequestHandler(
            self,
            loop=self._loop,
            access_log=None,  # type: ignore[arg-type] # for none
            keepalive_timeout=self._idle_s(),
            lingering_time=1.0,
        )

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Hear of it from the connection."""
        super().connection_lost(handler, exc)
        transport = handler.transport
        if transport is not None:
            peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
            if isinstance(peer, tuple) and isinstance(own, tuple):  # not on a UNIX path
                self._on_closed(peer[:2], own[:2])
