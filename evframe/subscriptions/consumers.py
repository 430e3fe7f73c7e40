"""Consumption in the process: `async for event in events.listen("E_UL_*")`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import attrs
from evframe_wire.encoding import encode_leaf
from evframe_wire.patterns import compile_pattern
from evframe_wire.payload import UNSET

from evframe.delivery.batch import Batch
from evframe.delivery.sockets import Socket
from evframe.delivery.subscribers import BATCH_EVENTS, Subscriber
from evframe.events.event import Event, EventRegistry
from evframe.subscriptions.channel import Channel


@attrs.frozen
class ListenerSocket:
    """The socket of a listener."""

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
    """The transport of a listener: gets batches from the delivery like any subscriber."""

    batch_events = BATCH_EVENTS
    in_flight = 0
    in_flight_batches = 1
    at_once = gathers = False
    reads_params = True

    def __init__(self, pattern: str, close: Callable[[Feed], None]) -> None:
        self.pattern = pattern
        self.socket = ListenerSocket(f"listen:{pattern}")
        self._close = close
        self._batch: Batch | None = None
        self._next = 0
        self._taken: asyncio.Future[None] | None = None
        self._filled = asyncio.Event()
        self._closed = False

    def deliver(self, _: Socket, batch: Batch) -> asyncio.Future[None]:
        """Take a batch; its outcome is recorded when the consumer has taken every event of the batch."""
        self._batch, self._next = batch, 0
        self._taken = asyncio.get_running_loop().create_future()
        self._filled.set()
        if self._closed:
            self._abandon()
        return self._taken

    async def take(self) -> Event:
        """Return the next event; StopAsyncIteration when the feed is closed."""
        while (batch := self._batch) is None:
            if self._closed:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        event = batch.events[self._next]
        self._next += 1
        if self._next == len(batch.events):
            self._batch = None
            if self._taken is not None and not self._taken.done():
                self._taken.set_result(None)
        return event

    def _abandon(self) -> None:
        if self._batch is not None:
            for index in range(self._next, len(self._batch.events)):
                self._batch.fail(index, "unsubscribed")
            self._batch = None
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)

    def unsubscribed(self, socket: Socket) -> None:
        """Do nothing: a listener holds no connection or file."""

    def close(self) -> None:
        """Take no more."""
        if not self._closed:
            self._closed = True
            self._close(self)
            self._abandon()
            self._filled.set()


class Listener(AsyncIterator[Event]):
    """The events that match, one by one, until the listener is closed.

    A listener has a queue like any subscriber: an event that finds no room is dropped and counted,
    and never blocks the code that raises. Use the listener with `async with`, or close it. A listener
    without references, such as that of an `async for` which was left, is closed by the collector.
    """

    def __init__(self, feed: Feed, where: Mapping[str, str]) -> None:
        self._feed = feed
        self._where = dict(where)
        self._loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):  # the interface is not entered yet
            self._loop = asyncio.get_running_loop()

    async def __anext__(self) -> Event:
        self._loop = asyncio.get_running_loop()
        while True:
            event = await self._feed.take()
            if not self._where or matches(event, self._where):
                return event

    def close(self) -> None:
        """Stop listening; an `async for` over it ends."""
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


class Listeners:
    """The listeners of an interface: each is a subscriber of every event that its pattern names."""

    def __init__(self, events: EventRegistry[Channel], on_last: Callable[[Subscriber], None]) -> None:
        self._events = events
        self._on_last = on_last
        self._by_feed: dict[Feed, Subscriber] = {}
        self._leaving: set[Subscriber] = set()
        events.on_new.append(self._attach)

    @property
    def subscribers(self) -> list[Subscriber]:
        """The open listeners, and the closed ones whose last batch is not over yet."""
        return [*self._by_feed.values(), *self._leaving]

    def add(self, pattern: str, where: Mapping[str, str]) -> Listener:
        """Return a new listener; see `EventInterface.listen`."""
        feed = Feed(pattern, self._remove)
        self._by_feed[feed] = Subscriber(feed.socket, feed)
        for event in self._events:
            self._attach(event, (feed,))
        return Listener(feed, where)

    def _attach(self, event: Channel, feeds: Iterable[Feed] | None = None) -> None:
        for feed in self._by_feed if feeds is None else feeds:
            if compile_pattern(feed.pattern).match(event.name):
                event.listeners = (*event.listeners, self._by_feed[feed])
                event.invalidate_targets()

    def _remove(self, feed: Feed) -> None:
        subscriber = self._by_feed.pop(feed)
        for event in self._events:
            if subscriber in event.listeners:
                event.listeners = tuple(other for other in event.listeners if other is not subscriber)
                event.invalidate_targets()
        self._leaving.add(subscriber)
        self._on_last(subscriber)

    def forget(self, subscriber: Subscriber) -> None:
        """Remove a listener that has no events left."""
        self._leaving.discard(subscriber)

    def close(self) -> None:
        """Close every listener."""
        for feed in list(self._by_feed):
            feed.close()
