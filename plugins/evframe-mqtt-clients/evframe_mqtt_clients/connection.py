"""One connection to a server of MQTT 5: the login, packets in both directions, and an end that is always noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol, cast

import mqtt5
from evframe_wire.addresses import connection_problem

from evframe import Unavailable
from evframe.plugin import HostAddress, first_reached, without_tracebacks
from evframe_mqtt_clients.login import Login
from evframe_mqtt_clients.packets import PUBACK, acknowledgement, end_of, packet_of
from evframe_mqtt_clients.reasons import ACCESS_REFUSED, BAD_REPLY, CLOSED, reason_of_connect, reason_of_disconnect

_CLOSE_S: Final = 1.0
_TLS_END_S: Final = 1.0
_FIRST: Final = {0x20, 0xE0}
"""The first byte of a server: that of an answer to the login, or of an end."""
_LOGIN: Final = 0
"""Stands for the login among the packet identifiers."""
Acknowledged = Sequence[tuple[int, int]]
"""Packet identifiers, and the reason code of each."""


class Taker(Protocol):
    """Takes what a server sends on a connection."""

    def acknowledged(self, found: Acknowledged) -> None:
        """Take acknowledgements of published messages, in the order of the server."""

    def received(self, packet: mqtt5.PublishPacket) -> None:
        """Take a message."""

    def writable(self) -> None:
        """Write more: the kernel has taken everything that was written."""

    def lost(self, reason: str) -> None:
        """Take the end of the connection, which comes once, unless `Connection.close` was called."""


class Connection(asyncio.Protocol):
    """A connection that `connect` has made.

    Args:
        taker: takes what comes.
    """

    def __init__(self, taker: Taker) -> None:
        self._taker: Taker | None = taker
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reason = CLOSED
        self._writable = asyncio.Event()
        self._writable.set()
        self._ping: asyncio.TimerHandle | None = None
        self._is_alive = True
        self._is_answered = False
        self.limits = mqtt5.ConnAckPacket()
        """What the server permits."""
        self.ip = ""
        """The address of the server."""

    @property
    def is_open(self) -> bool:
        """Whether packets can be written."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_writable(self) -> bool:
        """Whether the kernel has taken everything that was written."""
        return self._writable.is_set()

    def write(self, data: bytes) -> None:
        """Write packets."""
        if self._transport is not None:
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the kernel has taken everything that was written, or the connection has ended."""
        await self._writable.wait()

    async def subscribe(self, packet: mqtt5.SubscribePacket, timeout_s: float) -> mqtt5.SubAckPacket:
        """Return the answer to *packet*.

        Raises:
            Unavailable: if it does not come in time, or the connection ends before.
        """
        return cast(mqtt5.SubAckPacket, await self._answer(packet.packet_id, packet.write(), timeout_s))

    async def log_in(self, login: Login) -> None:
        """Log in.

        Raises:
            Unavailable: if the server refuses, does not answer in time, or the connection ends before; or no packet
                can have the user or the password.
        """
        try:
            packet = login.packet().write()
        except ValueError:
            raise Unavailable(ACCESS_REFUSED) from None
        connack = cast(mqtt5.ConnAckPacket, await self._answer(_LOGIN, packet, login.timeout_s))
        if code := int(connack.reason_code):  # the enumerations of the library are not hashable
            raise Unavailable(reason_of_connect(code))
        self.limits = connack
        keepalive_s = login.keepalive_s if connack.server_keep_alive is None else connack.server_keep_alive
        if keepalive_s:
            self._check_alive(keepalive_s / 2)

    async def _answer(self, number: int, request: bytes, timeout_s: float) -> Any:
        if self._ended.done():
            raise Unavailable(self._reason)
        loop = asyncio.get_running_loop()
        self._answers[number] = loop.create_future()
        self.write(request)
        # A time limit of asyncio would cancel the future, which would keep the frames that the error has passed.
        timer = loop.call_later(timeout_s, self.cut, "login_timeout")
        try:
            answer = await self._answers[number]
        finally:
            timer.cancel()
        if answer is None:
            raise Unavailable(self._reason)
        return answer

    def _check_alive(self, interval_s: float) -> None:
        """Send a ping; end the connection when nothing has come since the ping before."""
        if not self._is_alive:
            self.cut("timeout")
            return
        self._is_alive = False
        self.write(mqtt5.PingReqPacket().write())
        self._ping = asyncio.get_running_loop().call_later(interval_s, self._check_alive, interval_s)

    async def close(self) -> None:
        """Disconnect within a bound; `Taker.lost` is not called."""
        self._taker = None
        if self.is_open and self._transport is not None:
            self.write(mqtt5.DisconnectPacket().write())
            # The server ends the connection when it has read this. To end it here could reset it before the server
            # has read what was written earlier, such as acknowledgements.
            await asyncio.wait((self._ended,), timeout=_CLOSE_S)
        self.cut(CLOSED)

    def cut(self, reason: str) -> None:
        """End the connection at once, with *reason*."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reason: str) -> None:
        if self._ended.done():
            return
        self._reason = reason
        self._ended.set_result(None)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(None)
        self._answers.clear()
        self._writable.set()
        if self._ping is not None:
            self._ping.cancel()
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.lost(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; `pause_writing` is called whenever the kernel has not taken everything."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self.ip = str(transport.get_extra_info("peername")[0])

    def connection_lost(self, error: Exception | None) -> None:
        """Report the end."""
        self._end(connection_problem(error) if isinstance(error, OSError) else CLOSED)
        self._transport = None

    def pause_writing(self) -> None:
        """Have `drained` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Have more written."""
        self._writable.set()
        if self._taker is not None:
            self._taker.writable()

    def data_received(self, data: bytes) -> None:
        """Take packets."""
        self._is_alive = True
        self._unread += data
        acknowledged: list[tuple[int, int]] = []
        position, is_malformed = 0, not self._is_answered and self._unread[0] not in _FIRST
        unread = memoryview(self._unread)
        try:
            while not is_malformed and not self._ended.done() and (end := end_of(unread, position)) is not None:
                if unread[position] == PUBACK:
                    acknowledged.append(acknowledgement(unread[position:end]))
                else:
                    acknowledged = self._hand_on(acknowledged)
                    self._take(packet_of(unread[position:end]))
                position = end
        except ValueError:
            is_malformed = True
        self._hand_on(acknowledged)
        if is_malformed:
            self.cut(BAD_REPLY)
        if self._ended.done():
            self._unread = bytearray()
        else:
            unread.release()
            del self._unread[:position]

    def _hand_on(self, acknowledged: list[tuple[int, int]]) -> list[tuple[int, int]]:
        if acknowledged and self._taker is not None:
            self._taker.acknowledged(acknowledged)
        return []

    def _take(self, packet: mqtt5.Packet) -> None:
        self._is_answered = True
        if isinstance(packet, mqtt5.PublishPacket):
            if self._taker is not None:
                self._taker.received(packet)
        elif isinstance(packet, mqtt5.SubAckPacket | mqtt5.ConnAckPacket):
            number = _LOGIN if isinstance(packet, mqtt5.ConnAckPacket) else packet.packet_id
            answer = self._answers.pop(number, None)
            if answer is not None and not answer.done():
                answer.set_result(packet)
        elif isinstance(packet, mqtt5.PubRelPacket):
            self.write(mqtt5.PubCompPacket(packet.packet_id).write())
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self.cut(reason_of_disconnect(int(packet.reason_code)))
        elif not isinstance(packet, mqtt5.PingRespPacket):
            self.cut(BAD_REPLY)


async def connect(login: Login, addresses: Sequence[HostAddress], taker: Taker) -> Connection:
    """Return a connection to the first of *addresses* that can be reached, logged in.

    Raises:
        Unavailable: if none can be reached, or the server refuses.
    """
    reason = ""
    try:
        connection = await first_reached(addresses, partial(_open, login, taker), login.connect_timeout_s)
    except OSError as error:
        is_late = isinstance(error, TimeoutError)
        reason = "connect_timeout" if is_late else connection_problem(without_tracebacks(error))
    if reason:
        raise Unavailable(reason)
    try:
        await connection.log_in(login)
    except BaseException:
        connection.cut(CLOSED)
        raise
    return connection


async def _open(login: Login, taker: Taker, address: HostAddress) -> Connection:
    tls: dict[str, Any] = {}
    if login.tls is not None:
        tls = {"ssl": login.tls, "server_hostname": login.host, "ssl_shutdown_timeout": _TLS_END_S}
    loop = asyncio.get_running_loop()
    connection = Connection(taker)
    await loop.create_connection(lambda: connection, address.ip, address.sockaddr[1], **tls)
    return connection
