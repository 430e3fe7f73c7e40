"""A connection of one subscriber: messages are published in order, as many at once as the server permits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import mqtt5
from evframe_connections import PublishingLink
from evframe_connections import Server as Connecting
from evframe_mqtt_clients.connection import Acknowledged, Connection, connect
from evframe_mqtt_clients.login import Login

from evframe import Rejected
from evframe.plugin import HostAddress, Resolver
from evframe_mqtt.address import MqttSocket
from evframe_mqtt.options import Options
from evframe_mqtt.publication import TOO_LARGE, Publication

_CHUNK_BYTES: Final = 65_536
_MOST_ID: Final = 65_535


class Link(PublishingLink):
    """Publishes on one connection.

    Several messages are under way at once: aiomqtt waits for each acknowledgement with a lock, an event and a timer,
    and reports no reason code.

    Args:
        timeout_s: how long the server may acknowledge nothing.
        most: how many messages may be without an acknowledgement.
        window: how many may be so at first; more with each answer.
    """

    def __init__(self, timeout_s: float, most: int, window: int) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._most = most
        self._window = window
        self._connection: Connection | None = None
        self._waiting: deque[tuple[Publication, int]] = deque()
        self._in_flight: dict[int, tuple[Publication, int]] = {}
        self._last_id = 0
        self._acknowledged_at = 0.0  # when the server has acknowledged a message, or the first one was written
        self._watch: asyncio.TimerHandle | None = None

    def begin(self, connection: Connection) -> None:
        """Use *connection*, which is logged in."""
        self._connection = connection
        self._most = min(self._most, connection.limits.receive_max)

    @property
    def connection(self) -> Connection:
        """The connection."""
        assert self._connection is not None
        return self._connection

    @property
    def ip(self) -> str:
        """The address of the server."""
        return self.connection.ip

    @property
    def is_open(self) -> bool:
        """Whether packets can be written."""
        return self.connection.is_open

    async def probe(self, target: MqttSocket) -> None:
        """Check that the server has what *target* asks for."""
        limits = self.connection.limits
        if int(limits.max_qos) < target.qos or (target.retain and not limits.retain_available):
            raise Rejected("not_supported")

    async def publish(self, publication: Publication) -> None:
        """Publish the messages, behind those before."""
        await self.probe(publication.target)
        self._add(publication)
        if publication.target.qos:
            self._waiting.extend((publication, index) for index in sorted(publication.open))
            self._fill()
        else:
            await self._write_out(publication)

    async def confirmed(self, publication: Publication) -> None:
        """Wait until each message has its outcome, or is to be sent again; `_check` bounds it."""
        await publication.done

    def _fill(self) -> None:
        """Write what may be under way; what waits beyond is written when this method is called again."""
        was_idle = not self._in_flight
        while self._waiting and self.is_open and self.connection.is_writable:
            packets = self._packets(min(self._most, self._window) - len(self._in_flight))
            if not packets:
                break
            self.connection.write(packets)
        if self._in_flight and was_idle:
            self._acknowledged_at = asyncio.get_running_loop().time()
            if self._watch is None:
                self._check()

    def _check(self) -> None:
        """End the connection when the server has acknowledged nothing for too long."""
        self._watch = None
        if not self._in_flight:
            return
        loop = asyncio.get_running_loop()
        left_s = self._acknowledged_at + self._timeout_s - loop.time()
        if left_s > 0:
            self._watch = loop.call_later(left_s, self._check)
        else:
            self.connection.cut("confirm_timeout")

    def _packets(self, free: int) -> bytes:
        """Return the packets of the next messages, at most *free*."""
        parts: list[bytes] = []
        size = 0
        while self._waiting and len(parts) < free and size < _CHUNK_BYTES:
            publication, index = self._waiting.popleft()
            packet_id = self._next_id()
            packet = publication.packet(index, packet_id, self.connection.limits.max_packet_size)
            if packet is not None:
                self._in_flight[packet_id] = publication, index
                parts.append(packet)
                size += len(packet)
        return b"".join(parts)

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % _MOST_ID + 1
            if self._last_id not in self._in_flight:
                return self._last_id

    async def _write_out(self, publication: Publication) -> None:
        """Write messages of QoS 0, which are delivered when the kernel has them."""
        connection = self.connection
        indexes = deque(sorted(publication.open))
        while indexes and connection.is_open:
            written: list[int] = []
            packets: list[bytes] = []
            size = 0
            while indexes and size < _CHUNK_BYTES:
                index = indexes.popleft()
                packet = publication.packet(index, None, connection.limits.max_packet_size)
                if packet is not None:
                    packets.append(packet)
                    written.append(index)
                    size += len(packet)
            connection.write(b"".join(packets))
            try:
                async with asyncio.timeout(self._timeout_s):
                    await connection.drained()
            except TimeoutError:
                connection.cut("timeout")
            if connection.is_open:
                for index in written:
                    publication.settle(index)
        publication.lost("closed")  # what has no outcome yet, unless `lost` has said more

    def acknowledged(self, found: Acknowledged) -> None:
        """Take acknowledgements, and write what may be under way now."""
        for packet_id, code in found:
            entry = self._in_flight.pop(packet_id, None)
            if entry is not None:
                entry[0].answered(entry[1], code)
        self._acknowledged_at = asyncio.get_running_loop().time()
        self._window = min(self._most, 2 * self._window)
        self._fill()

    def received(self, packet: mqtt5.PublishPacket) -> None:
        """Take nothing: there is no subscription."""

    def writable(self) -> None:
        """Write more."""
        self._fill()

    def lost(self, reason: str) -> None:
        """Have what has no outcome be sent again."""
        if reason == TOO_LARGE and self._in_flight:  # the server does not say which one
            publication, index = max(self._in_flight.values(), key=lambda entry: entry[0].size(entry[1]))
            publication.fail(index, TOO_LARGE)
        self._waiting.clear()
        self._in_flight.clear()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().lost(reason)

    async def close(self) -> None:
        """Disconnect within a bound."""
        self.lost("closed")
        await self.connection.close()

    def cut(self) -> None:
        """End the connection at once."""
        self.connection.cut("closed")


class Server(Connecting[Link]):
    """The server of one subscriber.

    Args:
        target: the socket.
        options: of the plugin.
        login: returns what a connection is made with.
        resolver: looks names up.
    """

    def __init__(self, target: MqttSocket, options: Options, login: Callable[[], Login], resolver: Resolver) -> None:
        super().__init__(target.endpoints, resolver, options.timeout_ms / 1000)
        self._login = login
        self._most = self._window = options.max_in_flight

    async def _connect(self, host: str, addresses: Sequence[HostAddress]) -> Link:  # noqa: ARG002 the login has the host
        link = Link(self._timeout_s, self._most, self._window)
        link.begin(await connect(self._login(), addresses, link))
        # A server that ends the connection over a message may do so before its answers are read: alone, it has one.
        self._window = 1
        return link
