"""Deliveries of a worker by its interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evframe_shards.leases import definition_of

from evframe.plugin import Policy
from evframe_workers.awaited import AwaitedQueue
from evframe_workers.held import HeldQueue
from evframe_workers.mark import Mark, MarkedQueue

if TYPE_CHECKING:
    from evframe import Event, EventDefinition
    from evframe.plugin import PluginContext, Queue, Subscriber
    from evframe_workers.deliveries import Target


class InterfaceEngine:
    """Delivers events to the subscribers of an interface, which have no leases: the front has them.

    Args:
        context: of the plugin in the worker.
        mark: of the process.
    """

    def __init__(self, context: PluginContext, mark: Mark | None = None) -> None:
        self._mark = mark or Mark()
        self._number = 0  # of the subscriber whose queue may be opened
        self._context = context
        self._roster = context.roster
        self._wake = context.roster.scheduler.wake
        self._get_turn = context.roster.scheduler.get_turn
        self._opening: Target[Subscriber] | None = None
        self._held: dict[Subscriber, HeldQueue] = {}

    def open(
        self, target: Target[Subscriber], text: str, policy: Mapping[str, Any], *, is_configured: bool
    ) -> Subscriber:
        """Return the subscriber of a socket."""
        before, counted = target.handle, target.counts
        target.counts = False
        self._opening = None if policy or self._context.host.core.queue_bytes else target
        try:
            subscriber = self.follow(target, text, policy, is_configured=is_configured)
        finally:
            self._opening = None
        if subscriber is before:  # it had ended, and continues with its queue
            target.counts = counted and not policy
        subscriber.add_lease()
        subscriber.await_all()  # the queue makes a callback for each batch
        self._roster.check(subscriber, probe=is_configured)
        return subscriber

    def open_queue(self, subscriber: Subscriber, room: int, policy: Policy) -> Queue | None:
        """Return the queue of a subscriber that is kept, or is being opened; None for one in memory with callbacks."""
        if policy.keep == "disk":
            return self._held.setdefault(subscriber, HeldQueue(self._number, self._mark))
        target, self._opening = self._opening, None
        if target is None or target.tail:  # a subscriber that had ended has its queue
            has_bytes = bool(self._context.host.core.queue_bytes)  # for which the core has a queue
            return None if has_bytes or target is not None else MarkedQueue(room, self._number, self._mark)
        target.counts = True
        return AwaitedQueue(target, room, self._drops_oldest, self._number, self._mark)

    def _drops_oldest(self) -> bool:
        return self._context.host.core.overflow == "drop_oldest"

    def follow(
        self, target: Target[Subscriber], text: str, policy: Mapping[str, Any], *, is_configured: bool
    ) -> Subscriber:
        """Have the subscriber use another policy, or another secret in its text."""
        if policy or self._context.host.core.queue_bytes:
            target.counts = False
        self._number = target.row[0]
        address = self._context.transports.parse(text, configured=is_configured)
        wanted = Policy.read(policy)
        subscriber = self._roster.open(address)
        self._roster.apply(subscriber, wanted)
        return subscriber

    def end(self, handle: Subscriber) -> None:
        """End the subscriber."""
        handle.remove_lease()
        self._roster.scheduler.end(handle)

    def definition_of(self, name: str) -> EventDefinition:
        """Return the definition of an event."""
        return definition_of(self._context, name)

    def forget(self, subscriber: Subscriber) -> None:
        """Forget the queue of a subscriber that was released."""
        self._held.pop(subscriber, None)

    def put_all(self, handle: Subscriber, events: Sequence[Event]) -> bool:
        """Queue events, unless some of them find no room."""
        queue = handle.queue
        if not isinstance(queue, AwaitedQueue) or len(queue) + len(events) > queue.room:
            return False
        queue.extend(events)
        handle.count_found(len(events))
        self._wake(handle)
        return True

    def put(self, handle: Subscriber, event: Event, done: Callable[[str | None], Any], name: str | None = None) -> None:
        """Queue an event; *name* is that of one which is kept."""
        held = self._held.get(handle) if self._held else None
        if held is not None:
            held.names.append(name)
        if handle.put(event, done):
            self._get_turn(handle)
