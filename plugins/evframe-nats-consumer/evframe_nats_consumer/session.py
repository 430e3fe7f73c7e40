"""One connection's time: messages in, events out, answers back."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Final, NamedTuple

import orjson
from evframe_ingest import LARGE_BYTES, About, Prepared, QueueIntake, fate_of
from evframe_nats_clients.connection import NatsConnection, Settings, connect
from evframe_nats_clients.inbox import Inbox

from evframe import Unavailable
from evframe.plugin import HostAddress
from evframe_nats_consumer.options import ConnectionOptions
from evframe_nats_consumer.pending import Counts, Delivery, Pending
from evframe_nats_consumer.requests import NO_CONSUMER, pull_consumer

MOVED: Final = "moved"
_CLOSE_S: Final = 2.0
_EXPIRES_S: Final = 30
_NS: Final = 1_000_000_000
_STATUS: Final = re.compile(rb"NATS/1\.0 (\d{3}) ?([^\r\n]*)")
_LEFT: Final = re.compile(rb"(?i)\r\nNats-Pending-Messages: *(\d+)")
_READ: Final = re.compile(rb"(?i)\n(?:trace|baggage|ce-|content-type:)")
_HEADER: Final = re.compile(r"([^\r\n:]+): *([^\r\n]*)")
_ENDED: Final = (b"409", b"503")  # a consumer or a stream that is deleted, a server that stops


class Message(NamedTuple):
    """A message, as the server delivers it."""

    subject: bytes
    data: bytes
    headers: Mapping[str, str]
    """By their names in small letters."""

    @property
    def more(self) -> dict[str, str]:
        """The parameters of an event that the message does not name."""
        return {"subject": self.subject.decode("utf-8", "surrogateescape")}

    @property
    def about(self) -> About | None:
        """What the message has beside its body."""
        return About.of(self.headers.get("content-type"), self.headers)


class Session:
    """What happens between a connection's begin and its end.

    Args:
        options: of the connection.
        intake: raises the events.
        pending: what has no answer.
        counts: are kept up to date.
        outcome_known: called when an outcome is known.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        intake: QueueIntake,
        pending: Pending,
        counts: Counts,
        outcome_known: Callable[[], None],
    ) -> None:
        self._options = options
        self._intake = intake
        self._pending = pending
        self._counts = counts
        self._outcome_known = outcome_known
        self._inbox = Inbox(options.inbox_prefix)
        self._connection: NatsConnection | None = None
        self._asked = 0  # messages that were asked for and have not come
        self._is_flushing = False
        self._takes = True
        self._came_at = 0.0
        self._tick_s = float(options.heartbeat_s)

    async def open(self, host: str, addresses: Sequence[HostAddress], tls: ssl.SSLContext | None) -> None:
        """Begin to consume.

        Raises:
            Unavailable: if that is not possible.
        """
        options = self._options
        settings = Settings(
            f"evframe {options.name}",
            options.connect_timeout_ms / 1000,
            options.login_timeout_ms / 1000,
            options.heartbeat_s,
            options,
            tls,
        )
        self._connection = await connect(host, addresses, settings, self._receive, self._denied)
        self._inbox.subscribe(self._connection)
        if options.stream is None:
            assert options.subject is not None
            self._connection.write(f"SUB {options.subject} {options.consumer} 2\r\n".encode())
            await self._connection.flushed(options.login_timeout_ms / 1000)
        else:
            consumer = await pull_consumer(self._inbox, self._connection, options)
            self._pending.belongs_to(consumer.created)
            self._tick_s = max(0.01, min(options.heartbeat_s, consumer.wait_s / 3))
            self._connection.write(self._pending.commands() + self._pending.in_progress())
            self._ask()

    async def ended(self) -> str:
        """Wait until no more messages come, and return the reason; messages that wait get more time meanwhile."""
        assert self._connection is not None
        loop = asyncio.get_running_loop()
        self._came_at = loop.time()
        while True:
            await asyncio.wait((self._connection.ended,), timeout=self._tick_s)
            if self._connection.ended.done():
                return self._connection.ended.result()
            if self._connection.is_leaving:
                return "leaving"
            if self._asked and loop.time() > self._came_at + 3 * self._options.heartbeat_s:
                return "stuck"
            self._connection.write(self._pending.in_progress())

    def moved(self, addresses: Sequence[HostAddress]) -> None:
        """End when the connection is to none of *addresses*."""
        connection = self._connection
        if connection is not None and all(address.ip != connection.address for address in addresses):
            connection.end(MOVED)

    def _receive(self, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> Awaitable[None] | None:
        self._came_at = asyncio.get_running_loop().time()
        if subject.startswith(self._inbox.subject):
            self._take_status(subject, data, headers)
            return None
        delivery = Delivery.of(reply) if self._options.stream is not None else None
        if delivery is None and self._options.stream is not None:
            return None
        self._asked -= 1
        message = Message(subject, data, _read(headers))
        if len(data) > LARGE_BYTES:
            return self._take_large(delivery, message)
        self._take(delivery, message, None)
        return None

    def _take_status(self, reply: bytes, data: bytes, headers: bytes | None) -> None:
        """Take an answer to a request of ours, or the end of one for messages."""
        status = None if headers is None else _STATUS.match(headers)
        if self._inbox.take(reply, data, is_status=status is not None):
            return
        if status is not None and headers is not None:
            code, text = status.groups()
            if code == b"100":
                return
            left = _LEFT.search(headers)
            self._asked = max(0, self._asked - int(left[1])) if left is not None else 0
            if code in _ENDED:
                self._end(NO_CONSUMER if b"deleted" in text.lower() or code == b"503" else "broker_error")
            else:
                self._ask()

    async def _take_large(self, delivery: Delivery | None, message: Message) -> None:
        """Read a large message beside the loop; those after it wait."""
        with self._intake.within(message.headers) or nullcontext():
            prepared = await self._intake.prepare(message.data, message.more, message.about)
        self._take(delivery, message, prepared)

    def _take(self, delivery: Delivery | None, message: Message, prepared: Prepared | None) -> None:
        """Raise the event of a message, and answer it when that has its outcome."""
        if not self._takes:
            if delivery is not None:
                self._pending.add(delivery)  # which is returned at the end
            return
        self._counts.received += 1
        with self._intake.within(message.headers) or nullcontext():
            if delivery is None:
                self._intake.take(message.data, None, message.more, prepared, message.about)
                return
            self._counts.redelivered += delivery.is_again
            if self._pending.add(delivery):
                self._raise(delivery.number, message, prepared)
        self._ask()

    def _raise(self, number: bytes, message: Message, prepared: Prepared | None) -> None:
        if self._options.ack == "at_once":
            is_event = self._intake.take(message.data, None, message.more, prepared, message.about)
            self._pending.answer(number, "ack" if is_event else self._options.on_refused)
        else:
            self._counts.waiting += 1
            done = partial(self._record_outcomes, number, self._pending.created)
            if not self._intake.take(message.data, done, message.more, prepared, message.about):
                self._counts.waiting -= 1
                self._pending.answer(number, self._options.on_refused)
        self._flush_soon()

    def _record_outcomes(self, number: bytes, created: str | None, reasons: Sequence[str | None]) -> None:
        """Take the outcome of the event of a message."""
        self._counts.waiting -= 1
        fate = fate_of(reasons)
        if created == self._pending.created and fate != "open":
            failed = self._options.on_nobody if fate == "nobody" else self._options.on_failure
            self._pending.answer(number, "ack" if fate == "delivered" else failed, self._options.nak_delay_ms)
        self._outcome_known()

    def outcome_known(self) -> None:
        """Send the answers that are known, and ask for more messages where there is room."""
        self._flush_soon()
        self._ask()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._connection is not None and not self._connection.ended.done():
            self._connection.write(self._pending.commands())

    def _ask(self) -> None:
        """Ask for as many messages as there is room for, once that is worth it."""
        connection, options = self._connection, self._options
        if connection is None or connection.ended.done() or not self._takes:
            return
        room = options.prefetch - self._counts.waiting - self._asked
        if room > 0 and (not self._asked or room >= options.prefetch // 4):
            self._asked += room
            expires_ns = max(_EXPIRES_S, 3 * options.heartbeat_s) * _NS
            body = orjson.dumps({"batch": room, "expires": expires_ns, "idle_heartbeat": options.heartbeat_s * _NS})
            place = f"$JS.API.CONSUMER.MSG.NEXT.{options.stream}.{options.consumer}".encode()
            connection.write(b"PUB %b %b %d\r\n%b\r\n" % (place, self._inbox.next_reply(), len(body), body))

    def _denied(self, _: str) -> None:
        self._end("access_refused")  # also without the right to answer: every message would come again and again

    def _end(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.end(reason)

    def take_no_more(self) -> None:
        """Leave the messages to come to others; those that came are answered until the session is closed."""
        self._takes = False

    async def close(self) -> None:
        """Say what is still to be said, have the rest come again at once, and close the connection."""
        self._takes = False
        if self._connection is not None:
            self._pending.return_all()
            self._flush()
            with suppress(Unavailable):
                await self._connection.flushed(_CLOSE_S)
            self._connection.end("closed")

    def cut(self) -> None:
        """End at once."""
        self._end("closed")


def _read(headers: bytes | None) -> dict[str, str]:
    """Return the headers of a message, by their names in small letters; none where none is of use."""
    if headers is None or not _READ.search(headers):
        return {}
    return {name.lower(): text for name, text in _HEADER.findall(headers.decode("utf-8", "replace"))}
