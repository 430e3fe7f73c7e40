"""The HTTP server, whose library the plugin imports when it listens."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web
from evframe_http.connections import joined
from evframe_live import Connection, Refused
from evframe_live.access import PROTOCOL
from evframe_live.responding import LiveResponder, peer_of

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


class Responder(LiveResponder[WebSocketTransport]):
    """Answers each request with a WebSocket, or why it gets none."""

    opened = "WebSockets"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*, at the end of the connection."""
        plugin, options = self.plugin, self.plugin.options
        self.check(request, *_tokens(request))
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
        with self.noting(request):
            channel = plugin.make(plugin.name_of(peer_of(request)))
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
                await self.plugin.request(channel, message.data)
            elif message.type is WSMsgType.PING:
                await response.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                await response.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"expected text")
                return
            elif message.type is not WSMsgType.PONG:
                return


def _tokens(request: web.BaseRequest) -> list[str | None]:
    """Return the tokens in the names of subprotocols, where a web page can put one."""
    offered = [name.strip() for name in (joined(request, "Sec-WebSocket-Protocol") or "").split(",")]
    return [_decoded(name.removeprefix(PROTOCOL)) for name in offered if name.startswith(PROTOCOL)]


def _decoded(text: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return None
