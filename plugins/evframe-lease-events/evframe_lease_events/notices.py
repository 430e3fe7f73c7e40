"""When a lease is about to end: one heap for all of them, which a refresh does not touch."""

from __future__ import annotations

import heapq
import math
from typing import Final

from evframe.plugin import Subscription

_SPARE: Final = 1024  # so many entries may be out of date before the heap is made anew


class Notices:
    """The leases that end, each with the time at which its event has to be raised.

    Args:
        notice_s: how long before its end; a short lease has its event in its last quarter.
    """

    def __init__(self, notice_s: float) -> None:
        self.notice_s = notice_s
        """How long it is for the leases that are added from now on."""
        self._at: dict[Subscription, float] = {}
        self._heap: list[tuple[float, int, Subscription]] = []
        self._number = 0  # leases of the same time cannot be compared

    def __len__(self) -> int:
        return len(self._at)

    @property
    def next_at(self) -> float:
        """When `due` has something to look at; infinity when there is no lease."""
        return self._heap[0][0] if self._heap else math.inf

    def add(self, lease: Subscription) -> None:
        """Record a lease that was made or refreshed.

        One that ends later than it did stays where it is: it is looked at when its time comes.
        """
        if not lease.expire_s:
            return
        at = self._notice_at(lease)
        if at < self._at.get(lease, math.inf):
            self._push(lease, at)
            self._compact()

    def _notice_at(self, lease: Subscription) -> float:
        return lease.deadline - min(self.notice_s, lease.expire_s / 4)

    def _push(self, lease: Subscription, at: float) -> None:
        self._at[lease] = at
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, lease))

    def _compact(self) -> None:
        if len(self._heap) <= 2 * len(self._at) + _SPARE:
            return
        self._heap = [(at, number, lease) for number, (lease, at) in enumerate(self._at.items())]
        heapq.heapify(self._heap)
        self._number = len(self._heap)

    def forget(self, lease: Subscription) -> None:
        """Record that a lease has ended."""
        self._at.pop(lease, None)
        self._compact()

    def take_all(self) -> list[Subscription]:
        """Forget all leases whose event was not raised, and return them."""
        leases = list(self._at)
        self.clear()
        return leases

    def due(self, now: float, most: int) -> list[Subscription]:
        """Return up to *most* leases that are about to end, each once until it is refreshed."""
        found: list[Subscription] = []
        heap = self._heap
        for _ in range(most):
            if not heap or heap[0][0] > now:
                break
            at, _number, lease = heapq.heappop(heap)
            if self._at.get(lease) != at:
                continue  # it has ended, or there is a sooner entry
            later = self._notice_at(lease)
            if later > now:
                self._push(lease, later)
                continue
            del self._at[lease]
            if lease.deadline > now:
                found.append(lease)
        return found

    def clear(self) -> None:
        """Forget all of them."""
        self._at.clear()
        self._heap.clear()
