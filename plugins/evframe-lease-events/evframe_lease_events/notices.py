"""When a lease is about to end: one schedule for all of them, which a refresh does not touch."""

from __future__ import annotations

import math
from typing import Final

from evframe.plugin import Schedule, Subscription

_PARTS: Final = 16  # of a second


class Notices:
    """The leases that end, each with the time at which its event has to be raised.

    Args:
        notice_s: how long before its end; a short lease has its event in its last quarter.
    """

    def __init__(self, notice_s: float) -> None:
        self.notice_s = notice_s
        """How long it is for the leases that are added from now on."""
        self.clear()

    def __len__(self) -> int:
        return len(self._at)

    @property
    def next_at(self) -> float:
        """When `due` may return something; infinity when there is no lease."""
        return self._schedule.next_due

    def add(self, lease: Subscription) -> None:
        """Record a lease that was made or refreshed.

        One that ends later than it did stays where it is: it is looked at when its time comes.
        """
        if not math.isfinite(lease.deadline):
            return  # it never ends, or has ended
        at = self._notice_at(lease)
        if at < self._at.get(lease, math.inf):
            self.forget(lease)
            self._put(lease, at)

    def _notice_at(self, lease: Subscription) -> float:
        return lease.deadline - min(self.notice_s, lease.expire_s / 4)

    def _put(self, lease: Subscription, at: float) -> None:
        self._at[lease] = at
        self._schedule.add(lease, at)

    def forget(self, lease: Subscription) -> None:
        """Record that a lease has ended."""
        at = self._at.pop(lease, None)
        if at is not None:
            self._schedule.remove(lease, at)

    def take_all(self) -> list[Subscription]:
        """Forget all leases whose event was not raised, and return them."""
        leases = list(self._at)
        self.clear()
        return leases

    def due(self, now: float, most: int) -> list[Subscription]:
        """Return up to *most* leases that are about to end, each once until it is refreshed."""
        found: list[Subscription] = []
        for _ in range(most):
            lease = self._schedule.pop(now)
            if lease is None:
                break
            del self._at[lease]
            later = self._notice_at(lease)
            if now < later < math.inf:
                self._put(lease, later)
            elif now < lease.deadline < math.inf:
                found.append(lease)
        return found

    def clear(self) -> None:
        """Forget all of them."""
        self._at: dict[Subscription, float] = {}
        self._schedule: Schedule[Subscription] = Schedule(_PARTS)
