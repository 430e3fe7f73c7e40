"""One connection's time: messages in, events out, answers back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Final

from evframe_ingest import About, Prepared, QueueIntake, fate_of

from evframe.plugin import HostAddress, Resolver
from evframe_rabbitmq_consumer.channel import MOVED, ConsumingChannel, Message
from evframe_rabbitmq_consumer.connection import CLOSE_S, ConsumerConnection, close, connect, consume, cut
from evframe_rabbitmq_consumer.counts import Counts
from evframe_rabbitmq_consumer.options import Answer, ConnectionOptions
from evframe_rabbitmq_consumer.tags import Tags

_SEND_S: Final = 10.0
_STUCK: Final = "stuck"


class Session:
    """What happens between a connection's begin and its end; the answers of another one mean nothing to it.

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
        self._tags = Tags(counts.answers)
        self._connection: ConsumerConnection | None = None
        self._channel: ConsumingChannel | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._ip: str | None = None
        self._wake = asyncio.Event()
        self._takes = True
        self._closing = False

    async def open(self, prefetch: int, resolver: Resolver) -> None:
        """Begin to consume.

        Raises:
            Exception: whatever the library says; see `reason_of`.
        """
        limit_s = (self._options.connect_timeout_ms + self._options.login_timeout_ms) / 1000
        async with asyncio.timeout(limit_s + resolver.timeout_s):
            self._connection, self._ip = await connect(self._options, resolver, self)
            self._channel = await consume(self._connection, self._options, prefetch)
        self._flusher = asyncio.create_task(self._flush(self._channel))

    async def ended(self) -> str:
        """Wait until no more messages come, and return the reason."""
        assert self._channel is not None
        return await self._channel.ended

    def moved(self, addresses: Sequence[HostAddress]) -> None:
        """End when the connection is to none of *addresses*."""
        if self._channel is not None and all(address.ip != self._ip for address in addresses):
            self._channel.end(MOVED)

    async def prepare(self, message: Message) -> Prepared:
        """Read a large message beside the loop; those after it wait."""
        with self._intake.within(message.headers) or nullcontext():
            return await self._intake.prepare(message.body, about=About.of(message.content_type, message.headers))

    def take(self, message: Message, prepared: Prepared | None) -> None:
        """Raise the event of a message, and answer it when that has its outcome."""
        if not self._takes:
            return  # it comes again
        self._counts.received += 1
        self._counts.redelivered += message.redelivered
        self._tags.add(message.tag)
        within = self._intake.within(message.headers)
        if within is None:
            self._raise(message, prepared)
        else:
            with within:
                self._raise(message, prepared)

    def _raise(self, message: Message, prepared: Prepared | None) -> None:
        tag, body, about = message.tag, message.body, About.of(message.content_type, message.headers)
        if self._options.ack == "at_once":
            self._answer(
                tag, "ack" if self._intake.take(body, prepared=prepared, about=about) else self._options.on_refused
            )
            return
        self._counts.waiting += 1
        if not self._intake.take(body, partial(self._record_outcomes, tag), prepared=prepared, about=about):
            self._counts.waiting -= 1
            self._answer(tag, self._options.on_refused)

    def _record_outcomes(self, tag: int, reasons: Sequence[str | None]) -> None:
        """Take the outcome of the event of a message."""
        self._counts.waiting -= 1
        self._settled.set()
        fate = fate_of(reasons)
        if fate == "delivered":
            self._answer(tag, "ack")
        elif fate != "open":
            answer = self._options.on_nobody if fate == "nobody" else self._options.on_failure
            if answer == "requeue":
                # It may come back at once, and would go round and round.
                asyncio.get_running_loop().call_later(self._options.requeue_delay_ms / 1000, self._answer, tag, answer)
            else:
                self._answer(tag, answer)

    def _answer(self, tag: int, answer: Answer) -> None:
        if not self._closing:
            self._tags.answer(tag, answer)
            self._wake.set()

    async def _flush(self, channel: ConsumingChannel) -> None:
        """Send the broker the answers, all that have come together at once."""
        last = False
        while not last:
            await self._wake.wait()
            self._wake.clear()
            last = self._closing
            frames = self._tags.frames()
            if frames:
                try:
                    async with asyncio.timeout(_SEND_S):
                        await channel.send(frames)
                except TimeoutError:
                    channel.end(_STUCK)
                except Exception as error:  # noqa: BLE001 the channel's end shows more
                    channel.end(type(error).__name__)

    def take_no_more(self) -> None:
        """Leave the messages to come to others; those that came are answered until the session is closed."""
        self._takes = False

    async def close(self) -> None:
        """Say what is still to be said, and close the connection, both within their bounds."""
        self._takes, self._closing = False, True
        self._wake.set()
        if self._flusher is not None:
            await asyncio.wait((self._flusher,), timeout=CLOSE_S)
        if self._connection is not None:
            await close(self._connection)

    def cut(self) -> None:
        """End at once."""
        self._takes, self._closing = False, True
        if self._flusher is not None:
            self._flusher.cancel()
        if self._connection is not None:
            cut(self._connection)
