"""A batch: the events that go to a transport in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Final, cast

from evframe.delivery.queues import NO_DONES, UNOPENED, Done, Queue
from evframe.events.event import Event

# Shared by the batches without failures and confirmations, as nearly every batch is; nothing can be added.
_NO_FAILURES: Final = cast(dict[int, str], MappingProxyType({}))
_NO_INDICES: Final = cast(set[int], frozenset())


class Batch:
    """The events under way to one subscriber, and the outcomes that the transport reports."""

    __slots__ = ("_events", "_queue", "began_at", "confirmed", "dones", "error", "failures", "number")

    events: Sequence[Event] = property(attrgetter("_events"))  # type: ignore[assignment] # without a frame of Python
    """The events, immutable and not to be assigned, because each event gets its outcome by its index."""

    def __init__(
        self, events: Sequence[Event], number: int = 0, dones: Mapping[int, Done] = NO_DONES, queue: Queue = UNOPENED
    ) -> None:
        self._events = tuple(events)
        self._queue = queue
        self.number = number
        self.dones = dones  # the core's: what is called with the outcome of an event, by index
        self.began_at: float | None = None  # seconds of the monotonic clock, when somebody observes batches
        self.failures = _NO_FAILURES
        self.confirmed = _NO_INDICES
        self.error: BaseException | None = None

    is_kept: bool = property(attrgetter("_queue.is_kept"))  # type: ignore[assignment] # as above
    """Whether the events outlive the process: what a later attempt may mend is `Unavailable` then, no failure."""

    @property
    def ids(self) -> Sequence[str] | None:
        """What names each event, the same at each attempt and in each process; None when they are not kept."""
        return self._queue.ids(self.number)

    def fail(self, index: int, reason: str, error: BaseException | None = None) -> None:
        """Count the event at *index* as failed with *reason*, for good; *error* goes to the log.

        Raises:
            IndexError: if the batch has no such event.
            TypeError: if the reason is no text.
        """
        if not isinstance(reason, str):
            raise TypeError(f"Batch.fail: expected a text as a reason, got {type(reason).__name__}")
        if not 0 <= index < len(self.events):
            raise IndexError(f"Batch.fail: expected an index from 0 to {len(self.events) - 1}, got {index!r}")
        self.failures = self.failures or {}
        self.failures[index] = reason
        if self.error is None:
            self.error = error

    def broken_by(self, done: int) -> str | None:
        """Return what is wrong with the outcomes when *done* events at the head have theirs; None when they fit."""
        count = len(self.events)
        if type(done) is not int or not 0 <= done <= count:
            return f"expected done from 0 to {count}, got {done!r}"
        strange = next((index for index in self.confirmed if not 0 <= index < count), None)
        return None if strange is None else f"Batch.confirm: expected an index from 0 to {count - 1}, got {strange!r}"

    def confirm(self, index: int) -> None:
        """Count the event at *index* as delivered, even when the rest is tried again."""
        self.confirmed = self.confirmed or set()
        self.confirmed.add(index)
