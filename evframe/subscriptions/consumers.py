"""Consumption in the process: `async for event in events.listen("E_UL_*")`."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs
from evframe_declarations import EventType, declaration_of, event_of
from evframe_timing import LogLimiter
from evframe_wire.encoding import encode_leaf
from evframe_wire.patterns import compile_pattern
from evframe_wire.payload import UNSET

from evframe.delivery.batch import Batch
from evframe.delivery.limits import Limits
from evframe.delivery.scheduler import Scheduler
from evframe.delivery.sockets import Socket
from evframe.delivery.subscriber import Subscriber
from evframe.events.event import Event, EventRegistry
from evframe.exceptions import ParameterError
from evframe.subscriptions.channel import Channel

log = logging.getLogger("evframe.interface")
_T = TypeVar("_T")


@attrs.frozen
class ConsumerSocket:
    """The socket of a consumer."""

    canonical: str
    expires: bool = False


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, int):
        return encode_leaf(value)[1].decode()
    return str(value) if isinstance(value, str | float) else None


def matches(event: Event, where: Mapping[str, str]) -> bool:
    """Return whether the parameters of *event* match every pattern of *where*.

    The rule is that of `event_routing`: a name is compared without its case and stands for the first such
    parameter, the pattern is matched against the whole text with case, a number stands for its decimal text,
    and a name that the event does not have counts as a match, which existing filters rely on. A null never
    matches.
    """
    for wanted, pattern in where.items():
        folded = wanted.casefold()
        for name, value in event.pairs:
            if name is not None and name.casefold() == folded:
                if value is UNSET:
                    break
                text = _text(value)
                if text is None or not compile_pattern(pattern).match(text):
                    return False
                break
    return True


class Feed:
    """The transport of a consumer: gets batches from the delivery as the transports of plugins do."""

    limits = Limits(reads_params=True)

    def __init__(self) -> None:
        self.on_close: Callable[[], None] | None = None
        """Called once; None when the feed is closed."""
        self._batch: Batch | None = None
        self._next = 0
        self._taken: asyncio.Future[None]
        self._filled = asyncio.Event()

    def deliver(self, _: Socket, batch: Batch) -> Awaitable[None] | bool:
        """Take a batch; its outcome is recorded when the consumer has taken every event of the batch."""
        self._batch, self._next = batch, 0
        self._taken = asyncio.get_running_loop().create_future()
        self._filled.set()
        if self.on_close is None:
            self._end_batch()
        return self._taken

    async def take(self) -> Event:
        """Return the next event; StopAsyncIteration when the feed is closed."""
        while (batch := self._batch) is None:
            if self.on_close is None:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        event = batch.events[self._next]
        self._next += 1
        if self._next == len(batch.events):
            self._end_batch()
        return event

    def _end_batch(self) -> None:
        """End the delivery of the batch; the events that were not taken fail."""
        batch, self._batch = self._batch, None
        if batch is not None:
            for index in range(self._next, len(batch.events)):
                batch.fail(index, "unsubscribed")
            if not self._taken.done():
                self._taken.set_result(None)

    def unsubscribed(self, socket: Socket) -> None:
        """Do nothing: a consumer holds no connection or file."""

    def close(self) -> None:
        """Take no more."""
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close()
            self._end_batch()
            self._filled.set()


class EventStream(AsyncIterator[_T]):
    """The events that match, one by one, until the stream is closed.

    A stream has a queue like any subscriber: an event that finds no room is dropped and counted,
    and never blocks the code that raises. Use the stream with `async with`, or close it. A stream
    without references, such as that of an `async for` which was left, is closed by the collector.
    A stream of a class of events has its instances; an event that does not fit the class is left out, and logged.
    """

    def __init__(self, feed: Feed, where: Mapping[str, str], event_type: type[EventType] | None = None) -> None:
        self._feed = feed
        self._type = event_type
        self._where = dict(where)
        self._limiter = LogLimiter()
        self._loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):  # the interface is not entered yet
            self._loop = asyncio.get_running_loop()

    async def __anext__(self) -> _T:
        return await self._next()  # type: ignore[no-any-return]  # what the type of the stream says

    async def _next(self) -> Any:
        self._loop = asyncio.get_running_loop()
        while True:
            event = await self._feed.take()
            if self._where and not matches(event, self._where):
                continue
            if self._type is None:
                return event
            try:
                return event_of(self._type, event.params)
            except ParameterError as error:
                repeated = self._limiter.due(event.name)
                if repeated is not None:
                    log.warning("an event does not fit its class", extra={"problem": str(error), "repeated": repeated})

    def close(self) -> None:
        """Take no more events; an `async for` over the stream ends."""
        self._feed.close()

    def __del__(self) -> None:
        # The collector may run on any thread.
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and with it the interface
                self._loop.call_soon_threadsafe(self._feed.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Consumers:
    """The event streams of an interface: each is a subscriber of every event that its pattern names."""

    def __init__(self, events: EventRegistry[Channel], scheduler: Scheduler) -> None:
        self._events = events
        self._scheduler = scheduler
        self._patterns: dict[Subscriber, str] = {}  # those that are open
        self._feeds: dict[Subscriber, Feed] = {}
        events.on_new.append(self._add_event)

    @property
    def subscribers(self) -> list[Subscriber]:
        """The consumers that are open, or whose last batch is not over yet."""
        return list(self._feeds)

    def add(self, pattern: str | type[EventType], where: Mapping[str, str]) -> EventStream[Any]:
        """Return a new stream; see `EventInterface.listen`."""
        event_type = pattern if isinstance(pattern, type) else None
        if event_type is not None:
            pattern = re.sub(r"([\\*?[])", r"\\\1", declaration_of(event_type).event)
        if not isinstance(pattern, str):
            raise TypeError(f"pattern: expected a pattern of event names, such as 'E_UL_*', got {pattern!r}")
        texts = [text for pair in where.items() for text in pair] if isinstance(where, Mapping) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"where: expected patterns by parameter name, such as {{'aor': 'bob@*'}}, got {where!r}")
        feed = Feed()
        self.open(pattern, feed)
        return EventStream(feed, where, event_type)

    def open(self, pattern: str, feed: Feed) -> Subscriber:
        """Have *feed* get the events whose name matches *pattern* until it is closed; return its subscriber."""
        subscriber = self._scheduler.open(ConsumerSocket(f"listen:{pattern}"), feed)
        feed.on_close = partial(self._close, subscriber)
        self._feeds[subscriber], self._patterns[subscriber] = feed, pattern
        for event in self._events:
            _add_consumer(event, subscriber, pattern)
        return subscriber

    def _add_event(self, event: Channel) -> None:
        for subscriber, pattern in self._patterns.items():
            _add_consumer(event, subscriber, pattern)

    def _close(self, subscriber: Subscriber) -> None:
        del self._patterns[subscriber]
        for event in self._events:
            if subscriber in event.consumers:
                event.consumers = tuple(other for other in event.consumers if other is not subscriber)
                event.invalidate_targets()
        self._scheduler.end(subscriber)

    def forget(self, subscriber: Subscriber) -> None:
        """Remove a consumer that has no events left."""
        self._feeds.pop(subscriber, None)

    def close(self) -> None:
        """Close every stream."""
        for feed in list(self._feeds.values()):
            feed.close()


def _add_consumer(event: Channel, subscriber: Subscriber, pattern: str) -> None:
    """Make *subscriber* a consumer of *event* if *pattern* names the event."""
    if compile_pattern(pattern).match(event.name):
        event.consumers = (*event.consumers, subscriber)
        event.invalidate_targets()
