"""The queue of a subscriber with a policy: a batch gets what may be sent now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Protocol

from evframe_timing import Bucket

from evframe.plugin import NO_DONES
from evframe_policies.bounded import BoundedQueue, Owner, Shared, picked
from evframe_policies.recent import Recent

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy, Queue


_FIRST: Final = 16
"""How many events at the head are looked at first for their age: a queue that has no old ones costs that much."""


_SLICE_S: Final = 0.01
"""Events that wait for tokens are sent in slices of so many seconds, because each turn has a cost, too."""


class Watch(Shared, Protocol):
    """What the queues share, with the clock and the times of the timer."""

    def now(self) -> float:
        """Return the time on the monotonic clock."""

    def resume_in(self, queue: LimitedQueue, seconds: float) -> None:
        """Call `LimitedQueue.resume` then."""

    def expire_in(self, queue: LimitedQueue, seconds: float) -> None:
        """Call `LimitedQueue.expire` then."""

    def remember(self, queue: LimitedQueue, *, is_wanted: bool) -> None:
        """Note whether *queue* remembers events."""

    @property
    def most_remembered(self) -> int:
        """How many events each queue may remember."""


class LimitedQueue(BoundedQueue):
    """A queue that gives a batch no event that is too old or repeated, and no more events than there are tokens.

    What is looked at is looked at in `take`. Without tokens the queue is *held*: its events count as `stored`, so that
    the subscriber gets no turn, until the shared timer calls `resume`. An attempt to send costs a token, also when it
    is the second one of an event.

    Args:
        inner: where the events wait.
        subscriber: whose queue it is.
        policy: its policy.
        watch: what it shares with other queues.
        wake: as for `BoundedQueue`.
    """

    __slots__ = ("_bucket", "_is_held", "_recent", "_watch", "max_age_s")

    def __init__(self, inner: Queue, subscriber: Owner, policy: Policy, watch: Watch, wake: Callable[[], Any]) -> None:
        super().__init__(inner, subscriber, watch, wake)
        self._watch = watch
        self._is_held = False
        self._bucket: Bucket | None = None
        self._recent: Recent | None = None
        self._apply(policy)

    def __len__(self) -> int:
        return 0 if self._is_held else len(self._inner)

    @property
    def stored(self) -> int:
        """The events that wait elsewhere or for tokens, and those that are about to fail."""
        held = len(self._inner) if self._is_held else 0
        return held + self._inner.stored + len(self._dropped) + self._in_hand

    @property
    def room(self) -> int:
        """How many events may wait in memory, less those that wait for tokens."""
        room = self._inner.room
        return max(0, room - len(self._inner)) if self._is_held else room

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove the events of a batch from the head, and fail those that must not be sent; see `Queue.take`.

        Batch 0 is none: the caller fails its events, and sees how many are left.
        """
        self.fail_dropped()
        if not number:
            self._is_held = False
            return self._take(most, number)
        now, bucket = self._watch.now(), self._bucket
        if bucket is not None:
            most = min(most, bucket.available(now))
            if not most:
                self._hold(bucket)
                return (), NO_DONES
        passed = self._passed
        events, dones = self._take(most, number)
        faults = self._faults(events, now, passed)
        if faults:
            events, dones = self._without(events, dones, faults, number)
        if bucket is not None:
            bucket.spend(len(events))
            if not bucket.available(now):
                self._hold(bucket)
        return events, dones

    def _faults(self, events: Sequence[Event], now: float, passed: int) -> dict[int, str]:
        """Return why events must not be sent, by index; the first *passed* ones are not compared with others."""
        faults: dict[int, str] = {}
        if self.max_age_s is not None:
            oldest = now - self.max_age_s
            faults = {index: "expired" for index, event in enumerate(events) if event.raised_at < oldest}
        if self._recent is not None:
            self._recent.most = self._watch.most_remembered
            for index in range(passed, len(events)):
                if index not in faults and self._recent.is_repetition(events[index]):
                    faults[index] = "duplicate"
        return faults

    def _without(
        self, events: Sequence[Event], dones: Mapping[int, Done], faults: Mapping[int, str], number: int
    ) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Fail the events with faults; return the others with their callbacks."""
        kept = [index for index in range(len(events)) if index not in faults]
        self._inner.settle(number, kept)
        self._in_hand = len(events)
        for reason in ("expired", "duplicate"):
            chosen = [index for index, fault in faults.items() if fault == reason]
            if chosen:
                self._in_hand -= len(chosen)
                self._subscriber.fail_events(*picked(events, dones, chosen), reason)
        self._in_hand = 0
        return picked(events, dones, kept)

    def _apply(self, policy: Policy) -> None:
        super()._apply(policy)
        now, bucket = self._watch.now(), self._bucket
        if policy.rate is None:
            self._bucket = None
        elif bucket is None:
            self._bucket = Bucket(policy.rate, burst_of(policy.rate, policy.burst), now)
        else:
            bucket.configure(policy.rate, burst_of(policy.rate, policy.burst), now)
        if policy.dedup_s is None:
            self._recent = None
        elif self._recent is None:
            self._recent = Recent(policy.dedup_s)
        else:
            self._recent.seconds = policy.dedup_s
        self._watch.remember(self, is_wanted=self._recent is not None)
        self.max_age_s = policy.max_age_s
        if self.max_age_s is not None:
            self._watch.expire_in(self, 0.0)
        self.resume()

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that came back before the others; they may have become too old, whatever the next look was for."""
        super().give_back(number, events, dones)
        if number and self.max_age_s is not None:
            self._watch.expire_in(self, 0.0)

    def _hold(self, bucket: Bucket) -> None:
        self._is_held = True
        self._watch.resume_in(self, bucket.seconds_until(max(1.0, bucket.rate * _SLICE_S)))

    def resume(self) -> None:
        """Show the events again if there are tokens; else wait for more."""
        bucket = self._bucket
        if not self._is_held:
            return
        if bucket is not None and not bucket.available(self._watch.now()):
            self._hold(bucket)
            return
        self._is_held = False
        self._wake()

    def expire(self, most: int) -> int:
        """Fail at most *most* events at the head that are too old, and have the others looked at in time.

        Return how many have failed.
        """
        if self.max_age_s is None:
            return 0
        oldest = self._watch.now() - self.max_age_s

        def are_old(events: Sequence[Event]) -> int:
            return next((index for index, event in enumerate(events) if event.raised_at >= oldest), len(events))

        count, size, rest = 0, min(_FIRST, most), None
        while size and rest is None:
            failed, rest = self._fail_head(size, are_old, "expired")
            count += failed
            size = min(2 * size, most - count) if failed == size else 0
        if rest is not None:
            self._watch.expire_in(self, rest.raised_at - oldest)
        else:
            self._watch.expire_in(self, 0.0 if count == most else self.max_age_s)
        return count


def burst_of(rate: float, burst: int | None) -> int:
    """Return the burst of a policy: what is left out is the events of one second, and at least one."""
    return max(1, ceil(rate)) if burst is None else burst
