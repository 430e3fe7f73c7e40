"""One connection's time: messages in, events out, acknowledgements back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import mqtt5
from evframe_ingest import LARGE_BYTES, About, Prepared, QueueIntake, fate_of
from evframe_mqtt_clients.connection import Acknowledged, Connection, connect

from evframe import Unavailable
from evframe.plugin import HostAddress
from evframe_mqtt_consumer.counts import Counts
from evframe_mqtt_consumer.options import ConnectionOptions
from evframe_mqtt_consumer.order import Acknowledgements

if TYPE_CHECKING:
    from evframe_mqtt_clients.login import Login

MOVED: Final = "moved"
_RETAINED: Final = {
    "new": mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
    "always": mqtt5.RetainHandling.SEND_ALWAYS,
    "never": mqtt5.RetainHandling.SEND_NEVER,
}
_REASONS: Final = {0x87: "access_refused", 0x8F: "invalid_filter", 0x97: "quota_exceeded", 0x9E: "not_supported"}
_REFUSED: Final = 0x80
_EXACTLY_ONCE: Final = 2
_PREFIXES: Final = ("",)  # of CloudEvents, whose attributes have their own names
_SUBSCRIBE: Final = 1  # the packet identifier


class Session:
    """What happens between a connection's begin and its end.

    Args:
        options: of the connection.
        intake: raises the events.
        counts: are kept up to date.
        settled: set when an outcome is known.
    """

    def __init__(self, options: ConnectionOptions, intake: QueueIntake, counts: Counts, settled: asyncio.Event) -> None:
        self._options = options
        self._intake = intake
        self._counts = counts
        self._settled = settled
        self._order = Acknowledgements()
        self._unread: deque[mqtt5.PublishPacket] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._takes = True
        self._is_closed = False
        self._is_flushing = False
        self._to_retry = 0  # the messages whose events will be raised again
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, login: Login, addresses: Sequence[HostAddress]) -> bool:
        """Begin to consume, and return whether the server has kept the session.

        Raises:
            Unavailable: if the server cannot be reached, or refuses the login or a subscription.
        """
        self._connection = await connect(login, addresses, self)
        handling = _RETAINED[self._options.retained]
        filters = [
            mqtt5.TopicFilter(text, max_qos=mqtt5.QoS.AT_LEAST_ONCE, retain_handling=handling)
            for text in self._options.filters
        ]
        answer = await self._connection.subscribe(mqtt5.SubscribePacket(_SUBSCRIBE, filters), login.timeout_s)
        for code in map(int, answer.reason_codes):
            if code >= _REFUSED:
                raise Unavailable(_REASONS.get(code, "broker_error"))
        self._flush()  # the messages of a kept session may have come before
        return bool(self._connection.limits.session_present)

    async def ended(self) -> str:
        """Wait until no more messages come, and return the reason."""
        return await asyncio.shield(self._ended)

    def moved(self, addresses: Sequence[HostAddress]) -> None:
        """End when the connection is to none of *addresses*."""
        connection = self._connection
        if connection is not None and all(address.ip != connection.ip for address in addresses):
            self.lost(MOVED)

    def acknowledged(self, found: Acknowledged) -> None:
        """Take nothing: this end publishes no messages."""

    def writable(self) -> None:
        """Write nothing more: acknowledgements are small, and as few as the messages."""

    def lost(self, reason: str) -> None:
        """Have `ended` return."""
        self._takes = False
        if not self._ended.done():
            self._ended.set_result(reason)

    def received(self, packet: mqtt5.PublishPacket) -> None:
        """Take a message; those behind a large one wait until that is read."""
        if not self._takes:
            return  # it comes again
        held = self._counts.waiting + self._to_retry + len(self._unread)
        if not int(packet.qos) and held >= self._options.receive_max:
            self._counts.received += 1
            self._counts.dropped += 1
        elif self._reader is None and len(packet.payload) <= LARGE_BYTES:
            self._take(packet)
        else:
            self._unread.append(packet)
            if self._reader is None:
                self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        """Read large messages beside the loop, and take all in their order."""
        while self._unread:
            packet = self._unread.popleft()
            prepared = None
            if len(packet.payload) > LARGE_BYTES:
                with self._within(packet):
                    prepared = await self._intake.prepare(packet.payload, _more(packet), _about(packet))
            if self._takes:
                self._take(packet, prepared)
        self._reader = None

    def _within(self, packet: mqtt5.PublishPacket) -> Any:
        return self._intake.within(dict(packet.user_properties)) or nullcontext()

    def _take(self, packet: mqtt5.PublishPacket, prepared: Prepared | None = None) -> None:
        """Raise the event of a message, and acknowledge it when that has its outcome."""
        self._counts.received += 1
        self._counts.redelivered += packet.duplicate
        qos, number = int(packet.qos), None
        if qos and packet.packet_id is not None:
            # The subscriptions have QoS 1; what the server has kept of those before may have QoS 2.
            number = self._order.add(packet.packet_id, is_qos_2=qos == _EXACTLY_ONCE)
        self._raise(packet, prepared, number)

    def _raise(self, packet: mqtt5.PublishPacket, prepared: Prepared | None, number: int | None) -> None:
        about = _about(packet)
        with self._within(packet):
            if self._options.ack == "at_once":
                self._intake.take(packet.payload, None, _more(packet), prepared, about)
                self._acknowledge(number)
                return
            self._counts.waiting += 1
            done = partial(self._record_outcomes, packet, prepared, number)
            if not self._intake.take(packet.payload, done, _more(packet), prepared, about):
                self._counts.waiting -= 1
                self._acknowledge(number)  # it would be refused again

    def _record_outcomes(
        self,
        packet: mqtt5.PublishPacket,
        prepared: Prepared | None,
        number: int | None,
        reasons: Sequence[str | None],
    ) -> None:
        """Take the outcome of the event of a message."""
        self._counts.waiting -= 1
        self._settled.set()
        fate = fate_of(reasons)
        answer = {"nobody": self._options.on_nobody, "failed": self._options.on_failure}.get(fate, "ack")
        if fate == "open" or self._is_closed:
            return
        if answer == "retry":
            self._counts.retried += 1
            self._to_retry += 1
            loop = asyncio.get_running_loop()
            loop.call_later(self._options.retry_delay_ms / 1000, self._retry, packet, prepared, number)
        else:
            self._acknowledge(number)

    def _retry(self, packet: mqtt5.PublishPacket, prepared: Prepared | None, number: int | None) -> None:
        self._to_retry -= 1
        if self._takes:
            self._raise(packet, prepared, number)
        elif number is None:  # any other comes again
            self._counts.dropped += 1

    def _acknowledge(self, number: int | None) -> None:
        if number is not None:
            self._order.done(number)
            if not self._is_flushing:
                self._is_flushing = True
                asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send the acknowledgements that have come together."""
        self._is_flushing = False
        if self._connection is not None and self._connection.is_open:
            packets, count = self._order.packets()
            if packets:
                self._counts.acknowledged += count
                self._connection.write(packets)

    def take_no_more(self) -> None:
        """Leave the messages to come; those that came are acknowledged until the session is closed."""
        self._takes = False

    async def close(self) -> None:
        """Send what is to be sent, and disconnect, within a bound; the server keeps the session."""
        self._takes = False
        self._flush()
        self._is_closed = True
        connection, self._connection = self._connection, None
        if self._reader is not None:
            self._reader.cancel()
        if connection is not None:
            await connection.close()

    def cut(self) -> None:
        """End at once."""
        self._takes, self._is_closed = False, True
        connection, self._connection = self._connection, None
        if self._reader is not None:
            self._reader.cancel()
        if connection is not None:
            connection.cut("closed")


def _more(packet: mqtt5.PublishPacket) -> dict[str, str]:
    return {"topic": packet.topic}


def _about(packet: mqtt5.PublishPacket) -> About | None:
    """Return what a message has beside its body."""
    return About.of(packet.content_type, dict(packet.user_properties), _PREFIXES)
