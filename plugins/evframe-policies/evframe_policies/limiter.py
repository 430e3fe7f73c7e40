"""All limited queues: their one timer, and the one bound for the memory that they share."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from evframe_timing import Alarm, Schedule

from evframe.plugin import delivering
from evframe_policies.bounded import MANY
from evframe_policies.queue import LimitedQueue
from evframe_policies.recent import MAX_ENTRIES, MAX_OF_ALL

if TYPE_CHECKING:
    from evframe.plugin import Policy, Queue, Subscriber

_PARTS: Final = 1000
"""The queues whose tokens come within one such part of a second are resumed together."""
_EXPIRY_S: Final = 0.25
"""How long an event that has expired may stay in memory while nothing is sent; no batch gets it meanwhile."""
_LONGEST_S: Final = 86_400.0
"""A queue whose time is later is looked at then; the smallest rates would give times that are no numbers."""
_LEAST: Final = 15 / 16
"""Of the bound of the memory, what is left when events were shed, so that each turn sheds many."""
_OF_BATCHES: Final = frozenset({"max_age_s", "rate", "dedup_s"})
_OF_MEMORY: Final = frozenset({"when_full", "max_bytes", "priority"})


class Limiter:
    """Makes limited queues, and does for them what is due.

    Args:
        overflow: returns what happens to an event that finds no room, where no policy says so.
        memory_bytes: how many bytes of payloads may wait in memory for all; 0 for any number.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self, overflow: Callable[[], str], memory_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._overflow = overflow
        self._memory_bytes = memory_bytes
        self.now = clock
        """Returns the time."""
        self.bytes = 0
        """How many bytes wait in memory."""
        self._queues: dict[Subscriber, LimitedQueue] = {}
        self._resumes = _Times()
        self._expiries = _Times()
        self._dropped: dict[LimitedQueue, None] = {}
        self._remembering: set[LimitedQueue] = set()
        context = Context()  # else the first raise would lend its context to all callbacks, with its nesting
        context.run(delivering.set, True)
        self.alarm = Alarm(self._ring, context)
        """The timer, which the plugin starts."""

    def limit(self, queue: Queue, subscriber: Subscriber, policy: Policy, wake: Callable[[], Any]) -> Queue | None:
        """Return a limited queue round *queue*; None for a policy that needs none, and for a limited queue."""
        present = self._queues.get(subscriber)
        is_exchanged = present is not None and queue.is_kept and not present.is_kept  # without events
        keys = policy.keys.keys() & (_OF_BATCHES if queue.is_kept else _OF_BATCHES | _OF_MEMORY)
        if is_exchanged:
            self.forget(subscriber)
        if (present is not None and not is_exchanged) or not keys:
            return None
        limited = self._queues[subscriber] = LimitedQueue(queue, subscriber, policy, self, wake)
        return limited

    def __len__(self) -> int:
        return len(self._queues)

    def forget(self, subscriber: Subscriber) -> None:
        """Drop the queue of a subscriber that was released; it has no events."""
        queue = self._queues.pop(subscriber, None)
        if queue is not None:
            self._resumes.discard(queue)
            self._expiries.discard(queue)
            self._dropped.pop(queue, None)
            self._remembering.discard(queue)

    @property
    def memory_bytes(self) -> int:
        """How many bytes of payloads may wait in memory for all subscribers with limited queues; 0 for any number."""
        return self._memory_bytes

    @memory_bytes.setter
    def memory_bytes(self, size: int) -> None:
        self._memory_bytes = size
        self.grow(0)

    # As queues use it

    @property
    def overflow(self) -> str:
        """What happens to an event that finds no room, where no policy says so."""
        return self._overflow()

    def grow(self, size: int) -> None:
        """Note that so many bytes more wait in memory, and have events shed in the next turn if these are too many."""
        self.bytes += size
        if size >= 0 and 0 < self._memory_bytes < self.bytes:
            self.alarm.set(0.0)

    def resume_in(self, queue: LimitedQueue, seconds: float) -> None:
        """Resume *queue* then, and not at the time that was set before."""
        seconds = min(seconds, _LONGEST_S)
        self._resumes.set(queue, self.now() + seconds)
        self.alarm.set(seconds)

    def expire_in(self, queue: LimitedQueue, seconds: float) -> None:
        """Have *queue* fail what is too old then, or somewhat later."""
        seconds = min(max(seconds, _EXPIRY_S), _LONGEST_S)
        self._expiries.set(queue, self.now() + seconds)
        self.alarm.set(seconds)

    def remember(self, queue: LimitedQueue, *, is_wanted: bool) -> None:
        """Note whether *queue* remembers events."""
        if is_wanted:
            self._remembering.add(queue)
        else:
            self._remembering.discard(queue)

    @property
    def most_remembered(self) -> int:
        """How many events each queue may remember: an equal part of what all may."""
        return min(MAX_ENTRIES, max(1, MAX_OF_ALL // max(1, len(self._remembering))))

    def fail_later(self, queue: LimitedQueue) -> None:
        """Have *queue* fail what it has dropped in the next turn of the loop."""
        self._dropped[queue] = None
        self.alarm.set(0.0)

    # The timer

    def _ring(self) -> None:
        dropped, self._dropped = self._dropped, {}
        for queue in dropped:
            queue.fail_dropped()
        now = self.now()
        while (resumed := self._resumes.pop(now)) is not None:
            resumed.resume()
        left = self._expire(now, MANY)
        self._shed(left)
        if left <= 0 or self._is_over:
            self.alarm.set(0.0)  # the next turn does the rest, so that the loop is not held up
        next_due = min(self._resumes.next_due, self._expiries.next_due)
        self.alarm.set(next_due - self.now())

    def _expire(self, now: float, left: int) -> int:
        """Have events fail that are too old; return how many more may fail in this turn."""
        while left > 0 and (queue := self._expiries.pop(now)) is not None:
            left -= 1 + queue.expire(left)
        return left

    @property
    def _is_over(self) -> bool:
        return 0 < self._memory_bytes < self.bytes

    def _shed(self, left: int) -> None:
        """Fail the oldest events of those subscribers that have the lowest priority, first of the largest queues."""
        if left <= 0 or not self._is_over:
            return
        wanted = int(self._memory_bytes * _LEAST)
        for queue in sorted(self._queues.values(), key=lambda each: (each.priority, -each.bytes)):
            if left <= 0 or self.bytes <= wanted:
                break
            if queue.bytes:
                left -= queue.shed(self.bytes - wanted, left)


class _Times:
    """Queues that are due, each at one time."""

    def __init__(self) -> None:
        self._schedule: Schedule[LimitedQueue] = Schedule(_PARTS)
        self._times: dict[LimitedQueue, float] = {}

    @property
    def next_due(self) -> float:
        """When the earliest is due; infinity when none is."""
        return self._schedule.next_due

    def set(self, queue: LimitedQueue, at: float) -> None:
        """Have *queue* due at a time."""
        self.discard(queue)
        self._times[queue] = at
        self._schedule.add(queue, at)

    def discard(self, queue: LimitedQueue) -> None:
        """Drop the time of *queue*."""
        at = self._times.pop(queue, None)
        if at is not None:
            self._schedule.remove(queue, at)

    def pop(self, now: float) -> LimitedQueue | None:
        """Return a queue that is due, None when none is."""
        queue = self._schedule.pop(now)
        if queue is not None:
            del self._times[queue]
        return queue
