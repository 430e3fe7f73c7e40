"""An HTTP server that reports each connection that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from evframe_mi.traffic import Traffic

Address = tuple[str, int]
PAYLOAD_ERRORS: Final = (HttpProcessingError, ClientPayloadError, web.RequestPayloadError)
"""What is raised where a client sends what is no HTTP."""
_MOST: Final = 200  # characters of a problem


class Handler(web.RequestHandler):
    """Serves one connection; what a client sends that is no HTTP is one line of the log.

    Args:
        traffic: warns.
        arguments: of `aiohttp.web.RequestHandler`.
    """

    __slots__ = ("_traffic",)

    def __init__(self, traffic: Traffic, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._traffic = traffic

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log what went wrong with a request: a line, with the traceback of errors of this process alone."""
        error = options.get("exc_info")
        if isinstance(error, PAYLOAD_ERRORS):
            self._traffic.warn("a request is no HTTP", problem=str(error).splitlines()[0][:_MOST])
        else:
            super().log_exception(*args, **options)


class HttpServer(web.Server):
    """See `aiohttp.web.Server`.

    Args:
        answer: returns the response to a request.
        on_closed: called with the client's and the own address of each TCP connection that ends.
        idle_s: returns how long a connection from now on may be idle, in seconds.
        traffic: warns.
    """

    def __init__(
        self,
        answer: Any,
        on_closed: Callable[[Address, Address], None],
        idle_s: Callable[[], float],
        traffic: Traffic,
    ) -> None:
        super().__init__(answer)
        self._traffic = traffic
        self._on_closed = on_closed
        self._idle_s = idle_s

    def __call__(self) -> web.RequestHandler:
        """Return what serves one connection."""
        return Handler(
            self._traffic,
            self,
            loop=self._loop,
            access_log=None,
            keepalive_timeout=self._idle_s(),
            lingering_time=1.0,
            auto_decompress=False,  # a body that is encoded is refused
        )

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Be notified by the connection."""
        super().connection_lost(handler, exc)
        transport = handler.transport
        if transport is not None:
            peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
            if isinstance(peer, tuple) and isinstance(own, tuple):  # not on a UNIX path
                self._on_closed(peer[:2], own[:2])
