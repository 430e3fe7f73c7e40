"""The plugin: gives subscribers with policies their queues, and events with selective leases their selections."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from evframe import hookimpl
from evframe.plugin import PluginContext, StatisticGroup
from evframe_policies.checks import check
from evframe_policies.limiter import Limiter
from evframe_policies.options import Options as PolicyOptions
from evframe_policies.selection import Selection

if TYPE_CHECKING:
    from evframe import Socket
    from evframe.plugin import Channel, Filter, LeaseChange, Policy, Queue, Subscriber, Subscription


class PoliciesPlugin:
    """Follows the policies of subscribers and leases.

    Args:
        options: the table ``[plugins.policies]``.
        clock: the monotonic clock of ages and rates, in seconds.
    """

    Options = PolicyOptions
    kind = "extension"
    policy_keys: ClassVar = frozenset(
        {
            "where",
            "only",
            "sample",
            "max_age_s",
            "rate",
            "burst",
            "max_bytes",
            "when_full",
            "priority",
            "dedup_s",
        }
    )

    def __init__(self, options: PolicyOptions | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._context: PluginContext | None = None
        self._limiter = Limiter(self._overflow, (options or PolicyOptions()).memory_bytes, clock)
        self._selections: dict[Channel, Selection] = {}
        self._last: tuple[str, Filter] | None = None  # what was compiled last
        self._filtered = self._sampled = 0  # of leases that have ended, or select no more

    def _overflow(self) -> str:
        assert self._context is not None
        return self._context.host.core.overflow

    def _compile(self, text: str) -> Filter:
        """Return the filter of a text, which is compiled once for the check and the lease."""
        assert self._context is not None
        if self._last is None or self._last[0] != text:
            self._last = text, self._context.compile_filter(text)
        return self._last[1]

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what compiles filters."""
        self._context = context

    @hookimpl
    def reconfigure(self, options: PolicyOptions) -> None:
        """Apply another bound of the memory."""
        self._limiter.memory_bytes = options.memory_bytes

    @hookimpl
    def check_policy(self, policy: Policy, event: Channel | None) -> None:
        """Compile the filter, and look at the parameters."""
        check(policy, event, self._compile)

    @hookimpl
    def limit_queue(
        self, queue: Queue, subscriber: Subscriber, policy: Policy, wake: Callable[[], Any]
    ) -> Queue | None:
        """Return the queue of a subscriber whose policy says when its events are sent, or which are dropped."""
        if getattr(queue, "is_elsewhere", False):  # the process that delivers them follows the policy
            return None
        return self._limiter.limit(queue, subscriber, policy, wake)

    @hookimpl(tryfirst=True)
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Have the lease get what its policy selects, before other plugins raise events for it."""
        event = lease.event
        selection = self._selections.get(event)
        if lease.policy.is_selective and change not in {"expired", "ended"}:
            if selection is None:
                selection = self._selections[event] = Selection(self._compile)
                event.select_by(selection)
            selection.add(lease)
        elif selection is not None:
            filtered, sampled = selection.remove(lease)
            self._filtered += filtered
            self._sampled += sampled
            if not len(selection):
                del self._selections[event]
                event.select_by(None)

    @hookimpl
    def subscriber_released(self, subscriber: Subscriber) -> None:
        """Forget its queue."""
        self._limiter.forget(subscriber)

    @hookimpl
    def describe(self, socket: Socket) -> dict[str, Any] | None:
        """Return how many events the leases of a subscriber did not get, by event."""
        assert self._context is not None
        subscriber = self._context.roster.by_socket.get(socket.canonical)
        found: dict[str, dict[str, int]] = {}
        for event, selection in self._selections.items():
            lease = None if subscriber is None else event.leases.get(subscriber)
            counts = None if lease is None else selection.counts(lease)
            if counts is not None:
                found[event.name] = {"filtered": counts[0], "sampled": counts[1]}
        return {"Selected": found} if found else None

    @hookimpl
    def statistics(self) -> Sequence[StatisticGroup]:
        """Return the sums over all leases, and what the queues have."""
        totals = [selection.totals() for selection in self._selections.values()]
        counters = {
            "filtered": self._filtered + sum(filtered for filtered, _ in totals),
            "sampled": self._sampled + sum(sampled for _, sampled in totals),
        }
        gauges = {"limited_subscribers": len(self._limiter), "memory_bytes": self._limiter.bytes}
        return [StatisticGroup("policies", counters, gauges)]

    @hookimpl
    def start(self) -> None:
        """Begin to look at the clock."""
        self._limiter.alarm.start()

    @hookimpl
    def stop(self) -> None:
        """Look at the clock no more: no event waits."""
        self._limiter.alarm.stop()
