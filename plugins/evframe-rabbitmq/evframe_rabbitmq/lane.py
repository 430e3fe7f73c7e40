"""The messages of one subscriber: published in order, and judged one by one when a channel is closed over them."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from typing import Final

import attrs
from aio_pika.exceptions import AMQPError

from evframe import Rejected, Unavailable
from evframe.plugin import Step, without_tracebacks
from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.broker import Broker, reason_of
from evframe_rabbitmq.channel import BatchChannel, Publication, Refused
from evframe_rabbitmq.frames import Own, header_frame
from evframe_rabbitmq.probing import probe

TOO_LARGE: Final = "too_large"
_MOST_ATTRIBUTES: Final = 2048  # bytes of the headers of a CloudEvent
_SIZES: Final = re.compile(r"message size (\d+)\D+(\d+)")
# What the broker says about the socket, not about one of its messages.
_OF_THE_SOCKET: Final = {403: "access_refused", 404: "not_found"}
_PRECONDITION_FAILED: Final = 406

Suspect = tuple[Publication, int]


class Lane:
    """Publishes to one socket.

    A broker that refuses a message closes its channel, names no message, and says nothing more about those before
    it: they may be in their queues. They are published again on a new channel, few at a time, until the refused
    one is found.

    Args:
        broker: of the socket.
        target: the socket.
        timeout_s: how long the broker may take to confirm a message.
    """

    def __init__(self, broker: Broker, target: RabbitSocket, timeout_s: float) -> None:
        self._broker = broker
        self._target = target
        self._timeout_s = timeout_s
        self._pending: dict[Publication, None] = {}  # in the order of their events
        self._proven: BatchChannel | None = None
        self._most_header: int | None = None  # bytes of a frame, where the headers that events make may have more
        self._doubtful_until = -math.inf
        self._has_ids = target.message_id
        self._has_attributes = False

    async def open(self) -> None:
        """Make sure that there is a channel, and that the exchange or the queue exists.

        Raises:
            Unavailable: if there can be no channel now.
            Rejected: if there is no such exchange or queue.
        """
        await probe(await self._channel(), self._target, self._timeout_s)

    async def publish(self, publication: Publication) -> None:
        """Publish the messages of *publication*, behind all that have no outcome yet.

        Raises:
            Unavailable: if the broker cannot be reached, or the exchange is gone and messages may be in queues.
        """
        self._pending[publication] = None
        self._has_ids = publication.message_ids is not None
        self._has_attributes = publication.cloud_events is not None
        channel = self._broker.open_channel(self._target.canonical)
        if channel is None or channel is not self._proven:
            await self._judge()
            return
        if self._most_header is not None or self._broker.most_bytes is not None:
            self._settle_unfit(_open_of(publication), channel)
        publication.channel = channel
        channel.publish(self._target, publication)

    async def confirmed(self, publication: Publication, step: Step) -> None:
        """Wait until every message of *publication* has its outcome.

        Raises:
            Unavailable: if the connection ends before, or the exchange is gone.
        """
        if await self._spoken(publication) is None:
            return
        async with step("write"):
            if publication.open:  # else another batch has judged this one, too
                await self._judge()

    def forget(self, publication: Publication) -> None:
        """End the way of a publication, which has its outcomes or comes back to the core."""
        self._pending.pop(publication, None)
        if publication.channel is not None and publication.open:
            self._doubt(publication, max(publication.open))

    def _doubt(self, publication: Publication, index: int) -> None:
        """Remember that messages up to this one may be in their queues."""
        self._doubtful_until = max(self._doubtful_until, publication.events[index].raised_at)

    def _suspects(self) -> list[Suspect]:
        """Return the messages that have to be published, in order; what was published before is in doubt.

        Raises:
            Unavailable: if some were lost with a connection: they come back to the core, and go first.
        """
        for publication in self._pending:
            if publication.channel is not None and publication.open and not publication.was_refused:
                raise Unavailable("closed")
        return [suspect for publication in self._pending for suspect in _open_of(publication)]

    async def _judge(self) -> None:
        """Publish what has no outcome, the first message alone, until every message has one."""
        await self._settled()
        for publication in self._pending:
            if publication.channel is not None and publication.open:
                self._doubt(publication, max(publication.open))
        window, is_careful = 1, False
        while suspects := self._suspects():
            channel = await self._channel()
            if self._settle_unfit(suspects, channel):
                continue
            group = suspects[:window]
            refusal = await self._try(channel, group)
            if refusal is not None:
                window, is_careful = self._refused(refusal, group, suspects), True
            else:
                self._proven = channel
                window = 2 * window if is_careful else len(suspects)

    async def _settled(self) -> None:
        """Wait until what is under way on a connection that another one takes over from has its outcomes.

        Raises:
            Unavailable: if it is lost, and comes back to the core: it goes first.
        """
        under_way = [each.done for each in self._pending if each.channel is not None and each.channel.is_usable]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=self._timeout_s)
            if late or not all(_is_judged(done) for done in under_way):
                raise Unavailable("closed")

    async def _try(self, channel: BatchChannel, group: Sequence[Suspect]) -> Refused | None:
        """Publish *group* and wait for the outcomes; return the refusal that has closed the channel, if one has."""
        first = group[0][0]
        sent = Publication(
            [publication.bodies[index] for publication, index in group],
            [publication.events[index] for publication, index in group],
            None
            if first.message_ids is None
            else [publication.message_ids[index] for publication, index in group if publication.message_ids],
            None
            if first.targets is None
            else [publication.targets[index] for publication, index in group if publication.targets],
            None
            if all(publication.carried is None for publication, _ in group)
            else [publication.carried[index] if publication.carried else None for publication, index in group],
        )
        if first.cloud_events is not None:
            sent.cloud_events = [
                publication.cloud_events[index] for publication, index in group if publication.cloud_events
            ]
        refusal: Refused | None = None
        channel.publish(self._target, sent)
        try:
            refusal = await self._spoken(sent)
        finally:
            for number, (publication, index) in enumerate(group):
                if number not in sent.open:
                    publication.settle(index, sent.failures.get(number))
            if sent.open and (refusal is None or len(group) > 1):
                self._doubt(sent, max(sent.open))
        return refusal

    async def _spoken(self, publication: Publication) -> Refused | None:
        """Wait until the broker has spoken about every message; return the refusal with which it ends, if it does."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(publication.done)
        except Refused as refusal:
            without_tracebacks(refusal)
            return refusal
        except TimeoutError:
            self._broker.abort()
            raise Unavailable("confirm_timeout") from None
        except (OSError, AMQPError) as error:
            without_tracebacks(error)
            raise Unavailable(reason_of(error)) from None
        return None

    def _refused(self, refusal: Refused, group: Sequence[Suspect], suspects: Sequence[Suspect]) -> int:
        """Settle what *refusal* is about, and return how many messages to publish next.

        Raises:
            Unavailable: if it is about the exchange, and messages may be in queues or are kept.
        """
        sizes = _SIZES.search(refusal.text)
        if sizes is not None and _settle_large(suspects, int(sizes[2])):
            self._broker.most_bytes = int(sizes[2])
            return len(group)
        if len(group) > 1:
            return 1 if refusal.code in _OF_THE_SOCKET else len(group) // 2
        (publication, index), *_ = group
        reason = _OF_THE_SOCKET.get(refusal.code)
        if reason is None:
            publication.settle(index, "precondition_failed" if refusal.code == _PRECONDITION_FAILED else "refused")
            return 1
        if publication.is_kept or publication.events[index].raised_at <= self._doubtful_until:
            raise Unavailable(reason)
        for publication, index in suspects:
            if publication.events[index].raised_at > self._doubtful_until:
                publication.settle(index, reason)
        return 1

    async def _channel(self) -> BatchChannel:
        channel = self._broker.open_channel(self._target.canonical)
        if channel is None:
            channel = await self._broker.channel(self._target.canonical)
        if channel is not self._proven:
            self._check_headers(channel)
        return channel

    def _check_headers(self, channel: BatchChannel) -> None:
        """Raise Rejected if no message's headers fit in a frame: they would end the connection of all subscribers."""
        most = channel.connection.connection_tune.frame_max
        route = self._target.route
        if route is None or not route.by_header:
            if self._header_size(channel, self._target) > most:
                raise Rejected(TOO_LARGE)
            return
        widest = attrs.evolve(self._target, headers=route.widest)
        self._most_header = most if self._header_size(channel, widest) > most else None

    def _header_size(self, channel: BatchChannel, target: RabbitSocket) -> int:
        message_id, at = "-" * 64 if self._has_ids else None, 0 if target.timestamp else None
        attributes = {"": "-" * _MOST_ATTRIBUTES} if self._has_attributes else None
        return len(header_frame(channel.number, target, 0, Own(message_id, at, attributes=attributes)))

    def _settle_unfit(self, suspects: Sequence[Suspect], channel: BatchChannel) -> bool:
        """Fail the messages that the broker does not take as they are, and return whether there were any."""
        has_large = self._broker.most_bytes is not None and _settle_large(suspects, self._broker.most_bytes)
        return self._settle_wide(suspects, channel) or has_large

    def _settle_wide(self, suspects: Sequence[Suspect], channel: BatchChannel) -> bool:
        """Fail the messages whose own headers do not fit in a frame."""
        if self._most_header is None:
            return False
        found = False
        for publication, index in suspects:
            assert publication.targets is not None
            if self._header_size(channel, publication.targets[index]) > self._most_header:
                publication.settle(index, TOO_LARGE)
                found = True
        return found


def _is_judged(done: asyncio.Future[None]) -> bool:
    """Return whether the broker has spoken, be it with a refusal."""
    return done.exception() is None or isinstance(done.exception(), Refused)


def _open_of(publication: Publication) -> list[Suspect]:
    return [(publication, index) for index in publication.ordered]


def _settle_large(suspects: Sequence[Suspect], most_bytes: int) -> bool:
    """Fail the messages that are larger than the broker takes, and return whether there were any."""
    large = [suspect for suspect in suspects if len(suspect[0].bodies[suspect[1]]) > most_bytes]
    for publication, index in large:
        publication.settle(index, TOO_LARGE)
    return bool(large)
