"""Events: registered, raised for their subscribers, and awaited by code of this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import get_ident
from time import monotonic
from typing import Any, Literal, TypeVar, get_args, overload

from evframe_declarations import EventType, ParameterTypes, declaration_of, declare, name_of
from evframe_options import check_timeout

from evframe.config import CoreOptions
from evframe.delivery.inbox import Inbox
from evframe.delivery.nesting import depth
from evframe.delivery.outcomes import Outcome, OutcomeCallback, OutcomeWait
from evframe.delivery.queues import Done, UntilStored
from evframe.delivery.subscriber import Subscriber
from evframe.events.event import Event, EventRegistry, Tracing
from evframe.exceptions import UnknownEventError
from evframe.subscriptions.channel import Channel
from evframe.subscriptions.consumers import EventStream
from evframe.subscriptions.leases import check_declaration
from evframe.subscriptions.roster import Roster

log = logging.getLogger("evframe.interface")
Until = Literal["delivered", "stored", "kept"]
"""What is waited for: that an event is `delivered`; that it is delivered or `stored` on disk; `kept` is the same at the
subscribers alone whose events are kept."""
_Copies = Sequence[tuple[Event, Subscriber]]
_Typed = TypeVar("_Typed", bound=EventType)


class Raising:
    """Registers events and raises them.

    Args:
        registry: of the events.
        roster: of the subscribers.
        core: the table ``[core]``.
    """

    def __init__(self, registry: EventRegistry[Channel], roster: Roster, core: CoreOptions) -> None:
        self._events = registry
        self._by_name = registry.by_name
        self._by_type: dict[type, Channel] = {}  # those whose instances were raised
        self._roster = roster
        self._scheduler = roster.scheduler
        self._inbox = Inbox(core.queue_size, self._put, self._lose)
        self._thread = get_ident()
        self.tracing: Tracing | None = None
        """Keeps the contexts of events; None while no plugin does."""
        registry.on_new.append(lambda event: event.trace_by(self.tracing))
        self._configure_raising(core)

    def _configure_raising(self, core: CoreOptions) -> None:
        """Apply the options of the core."""
        self._max_nesting = core.max_nesting
        self._inbox.room = core.queue_size

    def trace_by(self, tracing: Tracing | None) -> None:
        """Have *tracing* keep the context of each event that is raised from now on; None for none."""
        self.tracing = tracing
        for event in self._events:
            event.trace_by(tracing)

    def event(self, name: str) -> Channel:
        """Return the definition of *name*; UnknownEventError when it is not registered."""
        return self._events[name]

    @property
    def events(self) -> Iterator[Channel]:
        """The registered events in the order of their ids."""
        return iter(self._events)

    def register_event(
        self,
        name: str | type[EventType],
        params: ParameterTypes | None = None,
        *,
        summary: str = "",
        enforced: bool = True,
    ) -> int:
        """Register an event and return its id; a known name keeps its id.

        Args:
            name: 1 to 64 bytes; or a class that declares the event, without the other arguments.
            params: its parameters in order, each a type or a `Parameter`; without it, anything can be raised.
            summary: when it is raised, in a sentence.
            enforced: whether a raise that does not fit is refused.

        Raises:
            EventNameError: if the name is empty or longer than 64 bytes.
            ParameterError: if a subscriber has a parameter in its text that *params* lack.
        """
        declaration, name = declare(name, params, summary=summary, enforced=enforced), name_of(name)
        known = self._by_name.get(name)
        if known is not None:
            check_declaration(known, declaration, (subscriber.socket for subscriber in known.leases))
        return self._events.register(name, declaration).id

    def raise_event(self, name: str | EventType, params: Any = None) -> None:
        """Raise an event for its subscribers; returns at once, from any thread.

        Args:
            name: the event; or an instance of the class that declares it, without *params*.
            params: its parameters.

        Raises:
            UnknownEventError: if the event is not registered.
            ParameterError: if the parameters break the declaration or cannot be sent.
        """
        if params is None and type(name) is not str:
            self._raise_typed(name)
            return
        try:
            definition = self._by_name[name]  # type: ignore[index]
        except Exception:  # noqa: BLE001 an instance with parameters, which may have a value without a hash
            raise UnknownEventError(name) from None  # type: ignore[arg-type]
        if get_ident() != self._thread:
            self._inbox.put(definition.snapshot(params, monotonic(), depth.get()))
            return
        targets = definition._targets  # noqa: SLF001 the property would cost a quarter of an idle raise
        if targets or targets is None:
            event = definition.snapshot(params, monotonic(), depth.get())
            if targets and event.depth < self._max_nesting:
                definition.raised += 1
                self._scheduler.put(targets, event)
            else:  # the subscribers have changed, or the event is nested too deep
                self._put(event)
        else:
            enforced = definition.enforced
            if enforced is not None and not enforced.fits(params):
                enforced.check(params)
            definition.raised += 1

    def _raise_typed(self, typed: Any) -> None:
        definition = self._by_type.get(type(typed)) or self._definition_of(typed)
        event = definition.snapshot_of(typed, monotonic(), depth.get())
        targets = definition._targets  # noqa: SLF001 as in `raise_event`
        if get_ident() != self._thread:
            self._inbox.put(event)
        elif targets is None or event.depth >= self._max_nesting:
            self._put(event)
        else:
            definition.raised += 1
            if targets:
                self._scheduler.put(targets, event)

    def _definition_of(self, typed: Any) -> Channel:
        """Return the definition of the event that *typed* is an instance of, and keep it."""
        if not isinstance(typed, EventType):
            raise UnknownEventError(typed)
        definition = self._by_type[type(typed)] = self._events[declaration_of(type(typed)).event]
        return definition

    def _snapshot(self, name: str | EventType, params: Any = None) -> tuple[Channel, Event]:
        """Return an event that is raised now, with its definition."""
        if params is None and isinstance(name, EventType):
            definition = self._definition_of(name)
            return definition, definition.snapshot_of(name, monotonic(), depth.get())
        definition = self._events[name]  # type: ignore[index]  # an instance with parameters is unknown
        return definition, definition.snapshot(params, monotonic(), depth.get())

    def raise_prepared(
        self, event: Event, done: Callable[[Sequence[str | None]], None] | None = None, *, until: Until = "delivered"
    ) -> None:
        """Raise an event that `Channel.snapshot` has made on any thread; call this on the loop's thread.

        *done* and *until* are as for `raise_event_and_tell`.
        """
        if done is None:
            self._put(event)
        else:
            self._put_and_call(self._by_name[event.name], event, done, until)

    def _put(self, event: Event) -> None:
        """Count an event and queue it for its targets; on the loop's thread."""
        definition = self._by_name[event.name]
        definition.raised += 1
        is_nested = event.depth >= self._max_nesting
        for copy, targets in definition.copies(event):
            if not is_nested and targets:
                self._scheduler.put(targets, copy)
            elif targets:
                for subscriber in targets:
                    subscriber.refuse(copy, "nesting")
                _log_nesting(event)

    def _put_awaited(self, definition: Channel, event: Event, copies: _Copies, dones: Iterable[Done | None]) -> None:
        """As `_put`, with a callback for the outcome of each of *copies*; a callback may change the event's targets."""
        definition.raised += 1
        is_nested = event.depth >= self._max_nesting and bool(copies)
        for (copy, subscriber), done in zip(copies, dones, strict=True):
            if is_nested:
                subscriber.refuse(copy, "nesting", done)
            elif done is None:
                self._scheduler.put((subscriber,), copy)
            elif subscriber.put(copy, done):
                self._scheduler.get_turn(subscriber)
        if is_nested:
            _log_nesting(event)

    def _put_and_call(
        self,
        definition: Channel,
        event: Event,
        callback: Callable[[Sequence[str | None]], None],
        until: Until = "delivered",
    ) -> None:
        copies = _copies(definition, event)
        are_kept = [until != "delivered" and subscriber.queue.is_kept for _, subscriber in copies]
        done: Done = OutcomeCallback(sum(are_kept) if until == "kept" else len(copies), callback).done
        other = None if until == "kept" else done
        dones = [UntilStored(done) if is_kept else other for is_kept in are_kept]
        self._put_awaited(definition, event, copies, dones)

    def _lose(self, name: str, count: int) -> None:
        """Count events of other threads that were dropped because the inbox was full."""
        definition = self._by_name[name]
        definition.raised += count
        for subscriber in definition.targets:
            subscriber.refuse_unknown(count, "inbox_full")

    async def raise_event_and_wait(
        self,
        name: str | EventType,
        params: Any = None,
        *,
        timeout_s: float | None = 10.0,
        until: Until = "delivered",
    ) -> list[Outcome]:
        """Raise an event and return one outcome per subscriber.

        Args:
            name: as for `raise_event`.
            params: its parameters.
            timeout_s: seconds to wait; an outcome that is still open then has the reason `pending`.
                None waits for as long as it takes.
            until: what is waited for, `delivered` or `stored`; an event that is on disk has the outcome `stored`.

        Raises:
            ValueError: if *timeout_s* is no number of seconds, or *until* is another word; nothing is raised then.
        """
        check_timeout("timeout_s", timeout_s)
        _check_until(until, "delivered", "stored")
        definition, event = self._snapshot(name, params)
        deadline = None if timeout_s is None else monotonic() + timeout_s
        if self._scheduler.room.is_used:
            # Await nothing between the end of the wait and the raise: another caller could take the room.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._scheduler.room.wait(event, lambda: definition.targets)
        copies = _copies(definition, event)
        wait = OutcomeWait([subscriber for _, subscriber in copies])
        dones: Iterable[Done] = wait.dones
        if until == "stored":
            dones = (
                UntilStored(done) if subscriber.queue.is_kept else done
                for done, (_, subscriber) in zip(wait.dones, copies, strict=True)
            )
        self._put_awaited(definition, event, copies, dones)
        return await wait.report(None if deadline is None else max(0.0, deadline - monotonic()))

    def raise_event_and_tell(
        self,
        name: str | EventType,
        params: Any,
        done: Callable[[Sequence[str | None]], None],
        *,
        until: Until = "delivered",
    ) -> None:
        """Raise an event and return at once; *done* is called later with the outcomes. On the loop's thread.

        Use it to raise many events and get the outcomes of each: it needs no task for an event.

        Args:
            name: as for `raise_event`; *params* are None for an instance.
            params: its parameters.
            done: called once, perhaps before this returns, with the reason of the failure at each
                subscriber, or None where it was delivered; it must neither take long nor raise.
            until: as for `raise_event_and_wait`; with `kept`, *done* gets the outcomes at kept subscribers alone.
        """
        _check_until(until, *get_args(Until))
        definition, event = self._snapshot(name, params)
        self._put_and_call(definition, event, done, until)

    @overload
    def listen(self, pattern: str = "*", *, where: Mapping[str, str] | None = None) -> EventStream[Event]: ...
    @overload
    def listen(self, pattern: type[_Typed], *, where: Mapping[str, str] | None = None) -> EventStream[_Typed]: ...
    def listen(
        self, pattern: str | type[EventType] = "*", *, where: Mapping[str, str] | None = None
    ) -> EventStream[Any]:
        """Return the events to come whose name matches *pattern*, for `async for`.

        The stream gets events from this call until it is closed: use it in an `async with`.

        Args:
            pattern: an `fnmatch` pattern of event names, and events registered later count too; or a class that
                declares an event, whose instances the stream has then.
            where: patterns by parameter name; see `evframe.subscriptions.consumers.matches`.
        """
        return self._roster.consumers.add(pattern, where or {})

    @overload
    async def wait_for_event(
        self, name: str, *, where: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Event: ...
    @overload
    async def wait_for_event(
        self, name: type[_Typed], *, where: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> _Typed: ...
    async def wait_for_event(
        self, name: str | type[EventType], *, where: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Any:
        """Return the next event called *name* that matches.

        Args:
            name: a registered event, or a pattern of names; or a class that declares an event.
            where: patterns by parameter name, such as ``{"aor": "bob@*"}``.
            timeout_s: seconds to wait; None waits for as long as it takes.

        Raises:
            UnknownEventError: if *name* is no pattern and not registered.
            TimeoutError: if none came in time.
            ValueError: if *timeout_s* is no number of seconds.
        """
        check_timeout("timeout_s", timeout_s)
        if isinstance(name, type):
            self.event(declaration_of(name).event)
        elif not isinstance(name, str) or not set("*?[") & set(name):
            self.event(name)
        async with asyncio.timeout(timeout_s), self.listen(name, where=where) as stream:
            return await anext(stream)


def _copies(definition: Channel, event: Event) -> _Copies:
    """Return what each subscriber gets of *event*, one by one."""
    return [(copy, subscriber) for copy, targets in definition.copies(event) for subscriber in targets]


def _check_until(until: Until, *expected: str) -> None:
    if until not in expected:
        raise ValueError(f"until: expected {' or '.join(map(repr, expected))}, got {until!r}")


def _log_nesting(event: Event) -> None:
    log.error("an event was raised too deep inside others", extra={"event": event.name, "depth": event.depth})
