"""The HTTP server, whose library the plugin imports when it listens."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSCloseCode, WSMsgType, web
from evframe_http.connections import HttpServer, hosts_of, joined
from evframe_live import Connection, Refused
from evframe_live.access import COOKIE, PARAMETER, PROTOCOL, Asking
from evframe_live.transport import IDLE_S

if TYPE_CHECKING:
    from evframe_websocket.channel import Channel
    from evframe_websocket.plugin import WebSocketTransport

SUBPROTOCOL: Final = "evframe.jsonrpc"
"""The subprotocol, for clients that name one."""
_CLOSE_S: Final = 1.0  # for the answer to the end of the server


class Socket(web.WebSocketResponse):
    """A WebSocket that calls back before it is closed, also by the library, which does so in `receive`.

    Args:
        options: of `aiohttp.web.WebSocketResponse`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.on_close: Callable[[], None] | None = None
        """Called without arguments."""

    async def close(self, **options: Any) -> bool:
        """Send the code, and wait a moment for that of the client."""
        if self.on_close is not None:
            self.on_close()
        return await super().close(**options)


class Responder:
    """Answers each request.

    Args:
        plugin: has the connections.
    """

    def __init__(self, plugin: WebSocketTransport) -> None:
        self._plugin = plugin

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*, at the end of the connection."""
        try:
            return await self._serve(request)
        except Refused as refused:
            response = web.Response(status=refused.status, text=refused.problem)
            if refused.status == 401:
                for challenge in self._plugin.access.guard.challenges:
                    response.headers.add("WWW-Authenticate", challenge)
            response.force_close()  # what is left of the request is not read
            return response

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        plugin, options = self._plugin, self._plugin.options
        if (refusal := plugin.refuse(_asking(request), request.remote)) is not None:
            raise Refused(refusal.status, refusal.problem)
        if request.path != options.path:
            raise Refused(404, "expected the path of WebSockets")
        response = Socket(
            timeout=_CLOSE_S,
            autoping=False,  # to notice a client that sends no pong
            protocols=(SUBPROTOCOL,),
            compress=False,  # events are written beside the library
            max_msg_size=options.max_message_bytes,
            decode_text=False,
        )
        if request.method != "GET" or not response.can_prepare(request):
            raise Refused(426, "expected a WebSocket")
        peer = None if request.transport is None else request.transport.get_extra_info("peername")
        try:
            channel = plugin.make(plugin.name_of(peer or ("", 0)))
        except Refused as refused:
            plugin.note(refused, request.remote)
            raise
        connection = None
        try:
            await response.prepare(request)
            if request.transport is not None:
                connection = Connection(request.transport, request.writer.drain, options.timeout_s)
                response.on_close = partial(plugin.finish, channel, connection)
                plugin.open(channel, connection)
                await self._talk(response, channel, connection)
        finally:
            plugin.leave(channel, connection)
        return response

    async def _talk(self, response: web.WebSocketResponse, channel: Channel, connection: Connection) -> None:
        """Read messages until one side ends the connection."""
        tasks = [asyncio.ensure_future(work) for work in (self._read(response, channel), channel.answer())]
        closing = asyncio.ensure_future(connection.closing.wait())
        try:
            await asyncio.wait((*tasks, closing), return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                await response.close(code=WSCloseCode.GOING_AWAY)
        finally:
            for task in (*tasks, closing):
                task.cancel()
            await asyncio.wait((*tasks, closing))
        for task in tasks:
            if not task.cancelled() and not isinstance(task.exception(), ConnectionError | None):
                task.result()  # an error of this process, which is logged

    async def _read(self, response: web.WebSocketResponse, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await response.receive()
            channel.seen_at = loop.time()
            if message.type is WSMsgType.TEXT:
                await self._plugin.request(channel, message.data)
            elif message.type is WSMsgType.PING:
                await response.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                await response.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"expected text")
                return
            elif message.type is not WSMsgType.PONG:
                return


def _asking(request: web.BaseRequest) -> Asking:
    offered = [name.strip() for name in (joined(request, "Sec-WebSocket-Protocol") or "").split(",")]
    tokens = [_decoded(name.removeprefix(PROTOCOL)) for name in offered if name.startswith(PROTOCOL)]
    return Asking(
        hosts_of(request),
        joined(request, "Origin"),
        joined(request, "Sec-Fetch-Site"),
        request.headers.get("Authorization"),
        (request.cookies.get(COOKIE), request.query.get(PARAMETER), *tokens),
    )


def _decoded(text: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return None


def server_of(plugin: WebSocketTransport) -> HttpServer:
    """Return a server of the WebSockets of *plugin*."""
    return HttpServer(Responder(plugin), plugin.warnings.warn, lambda: IDLE_S, cancels=True)
