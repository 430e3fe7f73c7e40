"""The messages of one subscriber: published in order, as many at once as the server permits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import mqtt5
from evframe_mqtt_clients.connection import Acknowledged, Connection

from evframe import Rejected, Unavailable
from evframe.plugin import HostAddress, Step
from evframe_mqtt.address import MqttSocket
from evframe_mqtt.publication import TOO_LARGE, Publication

_CHUNK_BYTES: Final = 65_536
_MOST_ID: Final = 65_535


class Lane:
    """Publishes to one socket, on a separate connection.

    Several messages are under way at once: aiomqtt waits for each acknowledgement with a lock, an event and a timer,
    and reports no reason code.

    Args:
        target: the socket.
        connect: returns a new connection; it gets what takes the packets of the server.
        timeout_s: how long the server may acknowledge nothing.
        most: how many messages may be without an acknowledgement.
    """

    def __init__(
        self, target: MqttSocket, connect: Callable[[Lane], Awaitable[Connection]], timeout_s: float, most: int
    ) -> None:
        self._target = target
        self._connect = connect
        self._timeout_s = timeout_s
        self._most = self._most_permitted = most
        self._window = most  # how many may be under way: one after a loss, then more with each answer
        self._most_bytes: int | None = None
        self._connection: Connection | None = None
        self._is_leaving = False
        self._pending: dict[Publication, None] = {}  # in the order of their events
        self._waiting: deque[tuple[Publication, int]] = deque()
        self._in_flight: dict[int, tuple[Publication, int]] = {}
        self._last_id = 0
        self._acknowledged_at = 0.0  # when the server has acknowledged a message, or the first one was written
        self._watch: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Make sure that there is a connection.

        Raises:
            Unavailable: if there can be none now.
            Rejected: if the server does not have what the socket asks for.
        """
        await self._connected()

    async def publish(self, publication: Publication, step: Step) -> None:
        """Publish the messages, behind those before, and return when each has its outcome.

        Raises:
            Unavailable: if the connection cannot be made or ends before, or the server takes a message only later.
            Rejected: if the server does not have what the socket asks for.
        """
        try:
            async with step("write"):
                connection = await self._connected()
                self._pending[publication] = None
                if self._target.qos:
                    self._waiting.extend((publication, index) for index in sorted(publication.open))
                    self._fill()
                else:
                    await self._write_out(connection, publication)
            reason = await publication.done or next(iter(publication.later.values()), None)
            if reason is not None:
                raise Unavailable(reason)
        finally:
            self._pending.pop(publication, None)

    async def _connected(self) -> Connection:
        if self._is_leaving:
            if self._pending:
                await asyncio.wait([publication.done for publication in self._pending])  # `_check` bounds it
            await self.close()
        if self._connection is None or not self._connection.is_open:
            if not all(each.is_settled for each in self._pending):  # these come back to the core, and go first
                raise Unavailable("closed")
            self._connection = await self._connect(self)
        limits = self._connection.limits
        if int(limits.max_qos) < self._target.qos or (self._target.retain and not limits.retain_available):
            raise Rejected("not_supported")
        self._most = min(self._most_permitted, limits.receive_max)
        self._most_bytes = limits.max_packet_size
        return self._connection

    def _fill(self) -> None:
        """Write what may be under way; what waits beyond is written when this method is called again."""
        was_idle = not self._in_flight
        while self._connection is not None and self._connection.is_writable and self._waiting:
            packets = self._packets(min(self._most, self._window) - len(self._in_flight))
            if not packets:
                break
            self._connection.write(packets)
        if self._in_flight and was_idle:
            self._acknowledged_at = asyncio.get_running_loop().time()
            if self._watch is None:
                self._check()

    def _check(self) -> None:
        """End the connection when the server has acknowledged nothing for too long."""
        self._watch = None
        if self._connection is None or not self._in_flight:
            return
        loop = asyncio.get_running_loop()
        left_s = self._acknowledged_at + self._timeout_s - loop.time()
        if left_s > 0:
            self._watch = loop.call_later(left_s, self._check)
        else:
            self._connection.cut("confirm_timeout")

    def _packets(self, free: int) -> bytes:
        """Return the packets of the next messages, at most *free*."""
        parts: list[bytes] = []
        size = 0
        while self._waiting and len(parts) < free and size < _CHUNK_BYTES:
            publication, index = self._waiting.popleft()
            packet_id = self._next_id()
            packet = self._packet(publication, index, packet_id)
            if packet is not None:
                self._in_flight[packet_id] = publication, index
                parts.append(packet)
                size += len(packet)
        return b"".join(parts)

    def _packet(self, publication: Publication, index: int, packet_id: int | None) -> bytes | None:
        packet = publication.packet(index, packet_id)
        if packet is not None and self._most_bytes is not None and len(packet) > self._most_bytes:
            publication.fail(index, TOO_LARGE)  # the server would end the connection
            return None
        return packet

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % _MOST_ID + 1
            if self._last_id not in self._in_flight:
                return self._last_id

    async def _write_out(self, connection: Connection, publication: Publication) -> None:
        """Write messages of QoS 0, which are delivered when the kernel has them."""
        indexes = deque(sorted(publication.open))
        while indexes and connection.is_open:
            written: list[int] = []
            packets: list[bytes] = []
            size = 0
            while indexes and size < _CHUNK_BYTES:
                index = indexes.popleft()
                packet = self._packet(publication, index, None)
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
                    publication.settle(index, 0)
        if publication.open:
            publication.end("closed")  # unless `lost` has said more

    def acknowledged(self, found: Acknowledged) -> None:
        """Take acknowledgements, and write what may be under way now."""
        for packet_id, code in found:
            entry = self._in_flight.pop(packet_id, None)
            if entry is not None:
                entry[0].settle(entry[1], code)
        self._acknowledged_at = asyncio.get_running_loop().time()
        self._window = min(self._most, 2 * self._window)
        self._fill()

    def received(self, packet: mqtt5.PublishPacket) -> None:
        """Take nothing: the lane has no subscription."""

    def writable(self) -> None:
        """Write more."""
        self._fill()

    def lost(self, reason: str) -> None:
        """End what has no outcome yet."""
        # A server that ends the connection over a message may do so before its answers are read: alone, it has one.
        self._connection, self._window = None, 1
        if reason == TOO_LARGE and self._in_flight:  # the server does not say which one
            publication, index = max(self._in_flight.values(), key=lambda entry: entry[0].size(entry[1]))
            publication.fail(index, TOO_LARGE)
        self._waiting.clear()
        self._in_flight.clear()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for publication in self._pending:
            publication.end(reason)

    def moved(self, addresses: Sequence[HostAddress]) -> None:
        """Exchange the connection before the next batch if it is to none of *addresses*."""
        connection = self._connection
        self._is_leaving = connection is not None and all(address.ip != connection.ip for address in addresses)

    async def close(self) -> None:
        """Disconnect within a bound."""
        connection, self._is_leaving = self._connection, False
        self.lost("closed")
        if connection is not None:
            await connection.close()
