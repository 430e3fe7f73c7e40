"""Middleware that answers the requests of flooding addresses before the application sees them.

Both classes take the plugin object, from ``events.plugin("pike")``, and go round any application::

    application = WsgiMiddleware(application, events.plugin("pike"))
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from evframe_pike.plugin import Pike

log = logging.getLogger("evframe.pike")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

_BODY: Final = b"too many requests\n"
_TRY_AGAIN_LATER: Final = 1013  # of RFC 6455's registry of codes


class _Gate:
    """Finds the client's address and asks whether it may pass."""

    def __init__(self, pike: Pike, proxies: int, header: str) -> None:
        if proxies < 0:
            raise ValueError(f"proxies: expected 0 or more, got {proxies!r}")
        if not header.isascii() or not header.replace("-", "").isalnum():
            raise ValueError(f"header: expected a name such as 'X-Forwarded-For', got {header!r}")
        self._pike = pike
        self._proxies = proxies
        self._has_logged = False
        self.header = header.lower()

    def passes(self, peer: str | None, forwarded: str | None) -> bool:
        """Return whether a request may pass that came from *peer*, with *forwarded* in the proxies' header."""
        if self._proxies and forwarded is not None:
            hops = forwarded.split(",")
            if len(hops) >= self._proxies:
                try:
                    return bool(self._pike.check(_bare(hops[-self._proxies])))
                except ValueError:
                    pass  # as if the header were not there
        if not peer:
            return True  # over a UNIX socket, say
        try:
            return bool(self._pike.check(peer))
        except ValueError:
            if not self._has_logged:
                self._has_logged = True
                log.warning("a server gives no address of its clients, which are not counted", extra={"peer": peer})
            return True

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the answer to one that may not pass."""
        return [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(_BODY))),
            ("Retry-After", str(self._pike.retry_after_s())),
        ]


def _bare(hop: str) -> str:
    """Return the address in an entry of a proxy's header, which may have brackets and a port."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


class WsgiMiddleware:
    """Answers 429 with ``Retry-After`` to the requests of blocked addresses.

    Args:
        application: what gets the other requests.
        pike: the plugin object.
        proxies: how many proxies in front add the address of their client to *header*. Without
            any, the address is that of the connection, and the header, which everybody can send,
            is not looked at.
        header: the proxies' header: addresses with commas between them, the last one added last.
        exempt: called with the environment; requests for which it returns true are not counted.

    Raises:
        ValueError: if *proxies* is negative or *header* no name of a header.
    """

    def __init__(
        self,
        application: WSGIApplication,
        pike: Pike,
        *,
        proxies: int = 0,
        header: str = "X-Forwarded-For",
        exempt: Callable[[WSGIEnvironment], bool] | None = None,
    ) -> None:
        self._application = application
        self._gate = _Gate(pike, proxies, header)
        self._variable = "HTTP_" + self._gate.header.upper().replace("-", "_")
        self._exempt = exempt

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or have the application do it."""
        exempt = self._exempt is not None and self._exempt(environ)
        if exempt or self._gate.passes(environ.get("REMOTE_ADDR"), environ.get(self._variable)):
            return self._application(environ, start_response)
        start_response("429 Too Many Requests", self._gate.headers)
        return [_BODY]


class AsgiMiddleware:
    """Answers 429 with ``Retry-After`` to the requests and handshakes of blocked addresses.

    A handshake for a WebSocket is refused; by a server that cannot send an answer of the
    application's, with its answer. Messages on an open WebSocket are not counted.

    Args:
        application: what gets the other requests.
        pike: the plugin object.
        proxies: see `WsgiMiddleware`.
        header: see `WsgiMiddleware`.
        exempt: called with the scope; requests for which it returns true are not counted.

    Raises:
        ValueError: if *proxies* is negative or *header* no name of a header.
    """

    def __init__(
        self,
        application: AsgiApplication,
        pike: Pike,
        *,
        proxies: int = 0,
        header: str = "X-Forwarded-For",
        exempt: Callable[[Scope], bool] | None = None,
    ) -> None:
        self._application = application
        self._gate = _Gate(pike, proxies, header)
        self._header = self._gate.header.encode()
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the application do it."""
        if scope["type"] not in {"http", "websocket"} or self._passes(scope):
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer("http.response", send)
        else:
            await receive()  # the handshake
            if "websocket.http.response" in (scope.get("extensions") or {}):
                await self._answer("websocket.http.response", send)
            else:
                await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})

    def _passes(self, scope: Scope) -> bool:
        if self._exempt is not None and self._exempt(scope):
            return True
        client = scope.get("client")
        forwarded = b",".join(value for name, value in scope["headers"] if name == self._header)
        return self._gate.passes(client[0] if client else None, forwarded.decode("latin-1") or None)

    async def _answer(self, kind: str, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in self._gate.headers]
        await send({"type": f"{kind}.start", "status": 429, "headers": headers})
        await send({"type": f"{kind}.body", "body": _BODY})
