"""An HTTP server that reports each connection that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from evframe_http.access import Asking
from evframe_http.room import most_connections

Address = tuple[str, int]
Warn = Callable[..., None]
"""Logs a sentence with keys, unless it was logged a moment ago; `evframe_http.warnings.Warnings.warn`."""
PAYLOAD_ERRORS: Final = (HttpProcessingError, ClientPayloadError, web.RequestPayloadError)
"""What is raised where a client sends what is no HTTP."""


def problem_of(error: BaseException) -> str:
    """Return the kind of an error in a request, without its text: that may have a part of the request with a token."""
    return type(error).__name__


class Handler(web.RequestHandler):
    """Serves one connection; what a client sends that is no HTTP is one line of the log.

    Args:
        warn: logs that line.
        arguments: of `aiohttp.web.RequestHandler`.
    """

    __slots__ = ("_warn",)

    def __init__(self, warn: Warn, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._warn = warn

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log what went wrong with a request: a line, with the traceback of errors of this process alone."""
        error = options.get("exc_info")
        if isinstance(error, PAYLOAD_ERRORS):
            self._warn("a request is no HTTP", problem=problem_of(error))
        else:
            super().log_exception(*args, **options)


class HttpServer(web.Server):
    """See `aiohttp.web.Server`.

    Args:
        answer: returns the response to a request.
        warn: logs what is wrong with a request.
        idle_s: returns how long a connection from now on may be idle, in seconds.
        on_closed: called with the client's and the own address of each TCP connection that ends.
        cancels: whether an answer is cancelled when its connection ends, as one that never ends by itself.
    """

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        warn: Warn,
        idle_s: Callable[[], float],
        on_closed: Callable[[Address, Address], None] | None = None,
        *,
        cancels: bool = False,
    ) -> None:
        super().__init__(self._answered, handler_cancellation=cancels)
        self._answer = answer
        self._idle: dict[web.RequestHandler, None] = {}  # without a request under way, the longest first
        self._warn = warn
        self._idle_s = idle_s
        self._on_closed = on_closed

    def __call__(self) -> web.RequestHandler:
        """Return what serves one connection."""
        return Handler(
            self._warn,
            self,
            loop=self._loop,
            access_log=None,
            keepalive_timeout=self._idle_s(),
            lingering_time=1.0,
            auto_decompress=False,  # a body that is encoded is refused
        )

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = request.protocol
        self._idle.pop(handler, None)
        try:
            return await self._answer(request)
        finally:
            if handler.transport is not None:
                self._idle[handler] = None

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Be notified by a connection; where there are too many, the one that has been idle for longest is ended."""
        super().connection_made(handler, transport)
        self._idle[handler] = None
        if len(self.connections) > most_connections():
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            if oldest.transport is not None:
                oldest.transport.abort()
            self._warn("idle connections were ended, there are too many", most=most_connections())

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Be notified by the connection."""
        super().connection_lost(handler, exc)
        self._idle.pop(handler, None)
        transport = handler.transport
        if transport is not None and self._on_closed is not None:
            peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
            if isinstance(peer, tuple) and isinstance(own, tuple):  # not on a UNIX path
                self._on_closed(peer[:2], own[:2])


def hosts_of(request: web.BaseRequest) -> list[str]:
    """Return the hosts that *request* names: in its headers, and in a target that has a host."""
    named = request.headers.getall("Host", [])
    return named if request.raw_path.startswith(("/", "*")) else [*named, request.host]


def asking_of(request: web.BaseRequest, tokens: Sequence[str | None] = ()) -> Asking:
    """Return what *request* says about where it comes from, with the *tokens* that it has in other places."""
    authorization = request.headers.get("Authorization")
    return Asking(
        hosts_of(request), joined(request, "Origin"), joined(request, "Sec-Fetch-Site"), authorization, tokens
    )


def joined(request: web.BaseRequest, name: str) -> str | None:
    """Return what the headers *name* say together: several are none that is accepted."""
    values = request.headers.getall(name, None)
    return None if values is None else ", ".join(values)
