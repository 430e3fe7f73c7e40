"""A channel that publishes whole batches, and takes what the broker says about each message."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Coroutine, Mapping, MutableMapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

import aiormq
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel

from evframe import Event
from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.attribute_frames import AttributeFrames
from evframe_rabbitmq.confirmations import Confirmed
from evframe_rabbitmq.frames import IdFrames, MessageFrames, Own

NACKED: Final = "nacked"
UNROUTABLE: Final = "unroutable"
_FIRST: Final = attrgetter("first")


class Refused(Exception):  # noqa: N818 what the broker says, not a mistake
    """The broker has closed a channel because of a message on it.

    Args:
        code: of the reply.
        text: of the reply.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Publication:
    """Messages on their way.

    Args:
        bodies: of the messages.
        events: theirs.
        message_ids: their ids, if they have any.
        targets: where each of them goes, if not to the socket as it is.
        carried: headers of their events, if they have any.
    """

    __slots__ = (
        "bodies",
        "carried",
        "channel",
        "cloud_events",
        "done",
        "events",
        "failures",
        "is_kept",
        "message_ids",
        "open",
        "targets",
    )

    def __init__(
        self,
        bodies: Sequence[bytes],
        events: Sequence[Event],
        message_ids: Sequence[str] | None = None,
        targets: Sequence[RabbitSocket] | None = None,
        carried: Sequence[Mapping[str, str] | None] | None = None,
    ) -> None:
        self.bodies = bodies
        self.events = events
        self.message_ids = message_ids
        self.targets = targets
        self.carried = carried
        self.cloud_events: Sequence[Own] | None = None
        """The headers and content types of messages that are CloudEvents."""
        self.is_kept = False  # the events are
        self.channel: BatchChannel | None = None  # that they were published on as they stand here
        self.open = set(range(len(bodies)))
        self.failures: dict[int, str] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def ordered(self) -> Sequence[int]:
        """The indexes of the messages without an outcome, in order."""
        return range(len(self.bodies)) if len(self.open) == len(self.bodies) else sorted(self.open)

    @property
    def was_refused(self) -> bool:
        """Whether the broker has closed the channel over these messages, or others on it."""
        return self.done.done() and isinstance(self.done.exception(), Refused)

    def settle(self, index: int, reason: str | None) -> None:
        """Take the outcome of one message."""
        self.settle_all((index,), reason)

    def settle_all(self, indexes: Sequence[int], reason: str | None) -> None:
        """Take the outcome of messages, but for those that have theirs; a failure that is recorded stays."""
        if reason is not None:
            for index in self.open.intersection(indexes):
                self.failures.setdefault(index, reason)
        self.open.difference_update(indexes)
        if not self.open and not self.done.done():
            self.done.set_result(None)


class _Sent(NamedTuple):
    """The messages of a publication that were published with consecutive delivery tags."""

    first: int
    publication: Publication
    indexes: Sequence[int]


class BatchChannel(Channel):
    """Marshals a batch at once and writes it as one piece; confirmations are taken by the range.

    aio-pika's `Exchange.publish` makes a task, a future and a frame object for each message, and looks through every
    message on its way when a confirmation covers several. The benchmark `rabbitmq` measures both: 3.9 to 4.3 times the
    rate, and at least 3 is demanded.
    """

    def __init__(self, connection: Any, number: int, confirmed: MutableMapping[int, Sequence[Confirmed]]) -> None:
        super().__init__(connection, number, publisher_confirms=True)
        self._confirmed = confirmed
        self._sent: list[_Sent] = []  # what is not confirmed, in the order of the delivery tags
        self._frames: tuple[RabbitSocket, MessageFrames] | None = None
        self._id_frames: IdFrames | None = None
        self._attribute_frames: AttributeFrames | None = None
        self.is_usable = True
        """Whether messages can be published on it."""

    @property
    def publications(self) -> set[Publication]:
        """Those that the broker has not spoken about."""
        return {sent.publication for sent in self._sent}

    def publish(self, target: RabbitSocket, publication: Publication) -> None:
        """Queue the messages of *publication* that have no outcome on the connection."""
        indexes = publication.ordered
        if publication.targets is not None or publication.carried is not None or target.timestamp:
            payload = self._different_frames(target, publication, indexes)
        elif publication.message_ids is None and publication.cloud_events is not None:
            payload = self._cloud_events(target, publication, indexes)
        elif publication.message_ids is None:
            payload = self._frames_to(target).of([publication.bodies[index] for index in indexes])
        elif publication.cloud_events is None:
            payload = self._with_ids(target, publication, indexes)
        else:
            payload = self._different_frames(target, publication, indexes)
        self._sent.append(_Sent(self.delivery_tag + 1, publication, indexes))
        self.delivery_tag += len(indexes)
        self.write_queue.put_nowait(ChannelFrame(payload=payload, should_close=False, drain_future=None))

    def _frames_to(self, target: RabbitSocket) -> MessageFrames:
        if self._frames is None or self._frames[0] is not target:
            self._frames = target, MessageFrames(self.number, self._most_bytes, target)
        return self._frames[1]

    def _with_ids(self, target: RabbitSocket, publication: Publication, indexes: Sequence[int]) -> bytes:
        """Return the frames of messages that have ids, and nothing else."""
        assert publication.message_ids is not None
        if self._id_frames is None or self._id_frames.target is not target:
            self._id_frames = IdFrames(self.number, self._most_bytes, target)
        ids = [publication.message_ids[index] for index in indexes]
        return self._id_frames.of([publication.bodies[index] for index in indexes], ids)

    @property
    def _most_bytes(self) -> int:
        return int(self.connection.connection_tune.frame_max)

    def _cloud_events(self, target: RabbitSocket, publication: Publication, indexes: Sequence[int]) -> bytes:
        """Return the frames of CloudEvents that have nothing else."""
        assert publication.cloud_events is not None
        if self._attribute_frames is None or self._attribute_frames.target is not target:
            self._attribute_frames = AttributeFrames(self.number, self._most_bytes, target)
        owns = [publication.cloud_events[index] for index in indexes]
        return self._attribute_frames.of([publication.bodies[index] for index in indexes], owns)

    def _different_frames(self, target: RabbitSocket, publication: Publication, indexes: Sequence[int]) -> bytes:
        """Return the frames of messages that differ in more than their bodies."""
        targets, message_ids, events = publication.targets, publication.message_ids, publication.events
        carried, owns = publication.carried, publication.cloud_events
        shift_s = time.time() - time.monotonic() if target.timestamp else None

        def properties(index: int) -> tuple[RabbitSocket, Own]:
            own = Own() if owns is None else owns[index]
            return (
                target if targets is None else targets[index],
                own._replace(
                    message_id=None if message_ids is None else message_ids[index],
                    at=None if shift_s is None else int(events[index].raised_at + shift_s),
                    carried=None if carried is None else carried[index],
                ),
            )

        return b"".join(
            MessageFrames(self.number, self._most_bytes, *alike).of([publication.bodies[index] for index in group])
            for alike, group in groupby(indexes, properties)
        )

    async def _on_confirm_frame(self, frame: Any) -> None:
        for low, high, is_ack in self._confirmed.pop(frame.delivery_tag, ()):
            self._settle(low, high, None if is_ack else NACKED)

    def _settle(self, low: int, high: int, reason: str | None) -> None:
        """Take the outcome of what was published with the delivery tags from *low* to *high*."""
        sent = self._sent
        for number in range(max(0, bisect_right(sent, low, key=_FIRST) - 1), len(sent)):
            first, publication, indexes = sent[number]
            if first > high:
                break
            publication.settle_all(indexes[max(0, low - first) : high - first + 1], reason)
        while sent and not sent[0].publication.open:
            del sent[0]

    async def _on_return_frame(self, frame: Any) -> None:
        # The library would ask for an id in every message, and would end the wait for its confirmation here.
        header: Any = await self._get_frame()
        message = await self._read_content(frame, header)
        for callback in self.on_return_callbacks:
            callback(message)

    def returned(self, _: Any, message: AbstractIncomingMessage) -> None:
        """Mark the message that comes back; its confirmation is still to come.

        The broker does not say which one it is, but sends the messages back in the order of
        publishing, and equal ones are equally lost.
        """
        for _, publication, indexes in self._sent:
            for index in indexes:
                is_open = index in publication.open and index not in publication.failures
                if is_open and publication.bodies[index] == message.body:
                    publication.failures[index] = UNROUTABLE
                    return

    def _on_close_frame(self, frame: Any) -> Coroutine[Any, Any, None]:  # no coroutine, which a traceback would keep
        # From the answer to this frame on, a message on the channel would end the connection of all subscribers.
        self.lost(Refused(frame.reply_code or 0, frame.reply_text or ""))
        return super()._on_close_frame(frame)

    def closed(self, _: Any, error: BaseException | None) -> None:
        """End what the broker has not spoken about."""
        # The library ends a connection that misses heartbeats with a cancellation, which would look like one of ours.
        self.lost(error if isinstance(error, Exception) else aiormq.exceptions.ChannelClosed(0, "closed"))

    def lost(self, error: BaseException) -> None:
        """End what the broker has not spoken about."""
        self.is_usable = False
        self._frames = self._id_frames = self._attribute_frames = None
        sent, self._sent = self._sent, []
        for _, publication, _ in sent:
            if not publication.done.done():
                publication.done.set_exception(error)
                publication.done.exception()
