"""Counters of the outcomes of events: raised = delivered + failed + depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from evframe.delivery.sockets import shown_socket

if TYPE_CHECKING:
    from evframe.delivery.subscriber import Subscriber


@attrs.frozen
class Counters:
    """The events of one subscriber: raised = delivered + failed + depth.

    *failed* is the sum of *reasons*; *depth* is how many wait or are under way; *away* is why the
    subscriber cannot be reached, None when it can, or nothing was sent yet; *state* is `connected`,
    `away` or `unknown`, as in listings, and None for sums.
    """

    socket: str
    raised: int
    delivered: int
    failed: int
    reasons: Mapping[str, int]
    depth: int
    away: str | None = None
    state: str | None = None

    @classmethod
    def of(cls, subscriber: Subscriber, away: str | None, state: str) -> Counters:
        """Return the counters of *subscriber* as they are now."""
        return cls(
            shown_socket(subscriber.socket),
            subscriber.raised,
            subscriber.delivered,
            subscriber.failed,
            dict(subscriber.reasons or {}),
            subscriber.depth,
            away,
            state,
        )


@attrs.frozen
class StatisticGroup:
    """Whole numbers that a plugin counts, for the command `statistics:get`.

    Args:
        name: of the group, such as that of the module of OpenSIPS.
        counters: what only grows, by name.
        gauges: what may fall too, by name.
    """

    name: str
    counters: Mapping[str, int]
    gauges: Mapping[str, int] = attrs.field(factory=dict)


class Ended:
    """The sums of the counters of subscribers that have been released."""

    def __init__(self) -> None:
        self.raised = 0
        self.outcomes: Counter[tuple[str, str | None]] = Counter()
        """How many events have an outcome, by the scheme of the socket and the reason, None for delivered events."""

    def add(self, subscriber: Subscriber) -> None:
        """Add the counters of a subscriber that is being released."""
        self.raised += subscriber.raised
        scheme = subscriber.socket.canonical.partition(":")[0]
        self.outcomes[scheme, None] += subscriber.delivered
        for reason, count in (subscriber.reasons or {}).items():
            self.outcomes[scheme, reason] += count

    def counters(self) -> Counters:
        """Return the sums; their *socket* is empty."""
        reasons: Counter[str] = Counter()
        for (_, reason), count in self.outcomes.items():
            if reason is not None:
                reasons[reason] += count
        failed = reasons.total()
        return Counters("", self.raised, self.outcomes.total() - failed, failed, dict(reasons), 0)
