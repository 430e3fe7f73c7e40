"""A channel that hands each message on as it comes, and the words for how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from aio_pika import exceptions
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ConnectionNotAllowed
from evframe_ingest import LARGE_BYTES, Prepared
from evframe_wire.addresses import connection_problem
from pamqp.base import Frame

from evframe import Unavailable

CANCELLED: Final = "cancelled"
MOVED: Final = "moved"


class Message(NamedTuple):
    """A message, as the broker delivers it."""

    tag: int
    """Of the delivery."""
    redelivered: bool
    """Whether it was delivered before."""
    body: bytes
    headers: Mapping[str, Any] | None
    content_type: str | None = None


class Taker(Protocol):
    """Takes the messages of a channel, one after the other."""

    async def prepare(self, message: Message) -> Prepared:
        """Read a large message beside the loop, before it is taken."""

    def take(self, message: Message, prepared: Prepared | None) -> None:
        """Take a message."""


class ConsumingChannel(Channel):
    """Hands messages to *taker* in their order.

    aio-pika makes two tasks and a `Message` of each delivery, and each acknowledgement is a frame: a loop on
    its `Queue.consume` that only acknowledges takes 2.6 times the processor time that this channel, the
    acknowledgements and the way of the event take together.

    Args:
        connection: that it belongs to.
        number: its number.
        taker: takes the messages.
    """

    def __init__(self, connection: Any, number: int, taker: Taker) -> None:
        super().__init__(connection, number, publisher_confirms=False)
        self._taker = taker
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when no more messages come, with the reason."""
        self.closing.add_done_callback(self._closed)
        self.on_consumer_cancel_callbacks.add(lambda _: self.end(CANCELLED))

    async def _on_deliver_frame(self, frame: Any) -> None:
        header: Any = await self._get_frame()
        message = await self._read_content(frame, header)
        properties = header.properties
        taken = Message(
            frame.delivery_tag, frame.redelivered, message.body, properties.headers, properties.content_type
        )
        prepared = await self._taker.prepare(taken) if len(taken.body) > LARGE_BYTES else None
        self._taker.take(taken, prepared)

    def _closed(self, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        self.end("closed" if error is None else reason_of(error))

    def end(self, reason: str) -> None:
        """Have *ended* be done."""
        if not self.ended.done():
            self.ended.set_result(reason)

    async def send(self, frames: Sequence[Frame]) -> None:
        """Write *frames*, and wait until the kernel has them."""
        written = self.create_future()
        await self.write_queue.put(ChannelFrame.marshall(self.number, frames, drain_future=written))
        await written


class ConnectTimeout(Exception):  # noqa: N818 a state of the peer, not a mistake
    """Raised when no connection was made in time."""


def reason_of(error: BaseException) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, Unavailable):
        return error.reason
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    if isinstance(error, OSError) and error.errno is not None:
        return connection_problem(error)
    return "closed"


_REASONS: Final[tuple[tuple[Any, str], ...]] = (
    (ConnectTimeout, "connect_timeout"),
    (TimeoutError, "login_timeout"),
    ((exceptions.AuthenticationError, exceptions.ProbableAuthenticationError), "access_refused"),
    ((ConnectionNotAllowed, ChannelAccessRefused), "access_refused"),
    (exceptions.ChannelNotFoundEntity, "no_such_queue"),
    (ChannelLockedResource, "locked"),
    (exceptions.ChannelPreconditionFailed, "precondition_failed"),
)
