"""Consumption in the process: `async for event in events.listen("E_UL_*")`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from fnmatch import translate
from functools import lru_cache
from types import TracebackType
from typing import Self

import attrs

from evframe.batch import Batch
from evframe.events import Event, EventDefinition, EventRegistry
from evframe.payload import UNSET
from evframe.sockets import Socket
from evframe.subscribers import BATCH_EVENTS, Subscriber


@attrs.frozen
class ListenerSocket:
    """What stands for a listener among the sockets."""

    canonical: str
    expires: bool = False


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression for an `fnmatch` pattern; a backslash takes a character as it is."""

    def take_as_it_is(found: re.Match[str]) -> str:
        return f"[{found[1]}]" if found[1] in "*?[" else found[1]

    return re.compile(translate(re.sub(r"\\(.)", take_as_it_is, pattern, flags=re.DOTALL)))


def matches(event: Event, where: Mapping[str, str]) -> bool:
    """Return whether the parameters of *event* match every pattern of *where*.

    The rule is that of `event_routing` (`reference/core.md` §7): a name is compared without
    its case and stands for the first such parameter, the pattern is matched against the whole
    text with case, a number stands for its decimal text, and a name that the event does not
    have counts as a match, which existing filters rely on. A null never matches.
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


class Listener(AsyncIterator[Event]):
    """The events that match, one by one, until it is closed.

    It has a queue of its own like any subscriber: what finds no room there is counted as lost
    and never stops who raises. Use it with `async with`, or leave the `async for` and close it.
    """

    batch_events = BATCH_EVENTS
    in_flight = 0
    in_flight_batches = 1
    reads_params = True

    def __init__(self, pattern: str, where: Mapping[str, str], close: Callable[[Listener], None]) -> None:
        self.pattern = pattern
        self.socket = ListenerSocket(f"listen:{pattern}")
        self._where = dict(where)
        self._close = close
        self._batch: Batch | None = None
        self._next = 0
        self._taken: asyncio.Future[None] | None = None
        self._filled = asyncio.Event()
        self._closed = False

    def deliver(self, _: Socket, batch: Batch) -> asyncio.Future[None]:
        """Take a batch; it has its outcome when the consumer has taken every event of it."""
        self._batch, self._next = batch, 0
        self._taken = asyncio.get_running_loop().create_future()
        self._filled.set()
        if self._closed:
            self._abandon()
        return self._taken

    async def __anext__(self) -> Event:
        while True:
            batch = self._batch
            if batch is None:
                if self._closed:
                    raise StopAsyncIteration
                self._filled.clear()
                await self._filled.wait()
                continue
            event = batch.events[self._next]
            self._next += 1
            if self._next == len(batch.events):
                self._batch = None
                if self._taken is not None and not self._taken.done():
                    self._taken.set_result(None)
            if not self._where or matches(event, self._where):
                return event

    def _abandon(self) -> None:
        if self._batch is not None:
            for index in range(self._next, len(self._batch.events)):
                self._batch.fail(index, "unsubscribed")
            self._batch = None
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)

    def unsubscribed(self, socket: Socket) -> None:
        """Nothing belongs to a listener but itself."""

    def close(self) -> None:
        """Stop listening; an `async for` over it ends."""
        if not self._closed:
            self._closed = True
            self._close(self)
            self._abandon()
            self._filled.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Listeners:
    """The listeners of an interface: each is a subscriber of every event that its pattern names."""

    def __init__(self, events: EventRegistry, on_last: Callable[[Subscriber], None]) -> None:
        self._events = events
        self._on_last = on_last
        self._by_listener: dict[Listener, Subscriber] = {}
        self._leaving: set[Subscriber] = set()
        events.on_new.append(self._attach)

    @property
    def subscribers(self) -> list[Subscriber]:
        """Those that listen, and those that have stopped and are not done yet."""
        return [*self._by_listener.values(), *self._leaving]

    def add(self, pattern: str, where: Mapping[str, str]) -> Listener:
        """Return a new listener; see `EventInterface.listen`."""
        listener = Listener(pattern, where, self._remove)
        self._by_listener[listener] = Subscriber(listener.socket, listener)
        for event in self._events:
            self._attach(event, (listener,))
        return listener

    def _attach(self, event: EventDefinition, listeners: Iterable[Listener] | None = None) -> None:
        for listener in self._by_listener if listeners is None else listeners:
            if compile_pattern(listener.pattern).match(event.name):
                event.listeners = (*event.listeners, self._by_listener[listener])
                event.changed()

    def _remove(self, listener: Listener) -> None:
        subscriber = self._by_listener.pop(listener)
        for event in self._events:
            if subscriber in event.listeners:
                event.listeners = tuple(other for other in event.listeners if other is not subscriber)
                event.changed()
        self._leaving.add(subscriber)
        self._on_last(subscriber)

    def forget(self, subscriber: Subscriber) -> None:
        """Forget a listener that is done."""
        self._leaving.discard(subscriber)

    def close(self) -> None:
        """Close every listener."""
        for listener in list(self._by_listener):
            listener.close()
