"""The plugin: connections that carry requests one way, and answers and events the other."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import attrs
from evframe_live import Connection, Leases, LiveSocket, LiveTransport
from evframe_mi import Dispatcher, dispatcher_of
from evframe_mi.plugin import refer_events

from evframe import Socket, hookimpl
from evframe.plugin import EventCollector, PluginContext
from evframe_websocket.channel import CURRENT, Channel
from evframe_websocket.frames import PING, notification
from evframe_websocket.options import Options as WebSocketOptions

OWN: Final = "ws:"
"""The socket of the connection that a request comes on."""
log = logging.getLogger("evframe.websocket")


class WebSocketTransport(LiveTransport[WebSocketOptions, Channel]):
    """The plugin object."""

    schemes = ("ws",)
    Options = WebSocketOptions

    def __init__(self, options: WebSocketOptions | None = None) -> None:
        super().__init__(WebSocketOptions() if options is None else options, log, "evframe_websocket.library")
        self.counters |= {"requests": 0, "replies": 0}
        self._dispatcher: Dispatcher | None = None

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Refer to the events that clients of this interface may raise."""
        refer_events(collector, self.options.raise_events or (), "raise_events")

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        if self.options.target is not None:
            self._dispatcher = dispatcher_of(context)
        super().start(context)

    def stream_of(self, socket: LiveSocket, leases: Leases) -> Channel:
        """Return a new connection."""
        return Channel(socket, leases, self.options.max_requests)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Return the socket of the connection that a request comes on, for ``ws:``, or of one that is open."""
        channel = CURRENT.get()
        is_own = channel is not None and f"{scheme}:{rest}" in {OWN, channel.socket.canonical}
        if channel is not None and is_own and not channel.is_over:  # requests that have come run to their end
            return channel.socket
        found: Socket | None = super().on_subscribe(scheme, rest)
        # A reload that a client has asked for parses the sockets of others, too; no client may subscribe them.
        return attrs.evolve(found, owner="") if channel is not None and isinstance(found, LiveSocket) else found

    def open(self, channel: Channel, connection: Connection) -> None:
        """Have *channel* written to *connection*, first with its socket."""
        connection.write(notification("stream:opened", socket=channel.socket.canonical))
        channel.attach(connection)

    async def request(self, channel: Channel, message: bytes) -> None:
        """Run the requests of a message when those before are under way, and the client has taken its answers."""
        self.counters["requests"] += 1
        if self._dispatcher is None:  # a reload has brought the address
            self._dispatcher = dispatcher_of(self.context)
        future = self._dispatcher.submit(message, channel, context=channel.context)
        future.add_done_callback(self._count)
        channel.is_held = True
        try:
            await channel.answers.put(future)
            connection = channel.connection
            if connection is not None and connection.is_waiting:
                await connection.drained()
        finally:
            channel.is_held, channel.seen_at = False, asyncio.get_running_loop().time()

    def _count(self, future: asyncio.Future[bytes | None]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.counters["replies"] += future.result() is not None

    def beat(self, stream: Channel, connection: Connection) -> None:
        """Send a ping; a client that has sent nothing for too long is gone."""
        silent_s = 0.0 if stream.is_held else asyncio.get_running_loop().time() - stream.seen_at
        if silent_s > self.options.beat_s + self.options.timeout_s:
            connection.abort()
        else:
            connection.write(PING)

    def finish(self, channel: Channel, connection: Connection) -> None:
        """End *channel* before its connection is closed: what is written behind that is read by no client."""
        channel.detach(connection)
        self.end(channel)

    def leave(self, channel: Channel, connection: Connection | None) -> None:
        """End *channel*, whose connection has ended."""
        self.counters["slow"] += connection is not None and connection.is_slow
        self.end(channel)
