"""Which policy each subscriber and each lease has: what is configured, and what clients request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evframe.config.policy import NONE, OF_LEASES, OF_SUBSCRIBERS, Policy, PolicyOptions, matching
from evframe.delivery.subscriber import Subscriber
from evframe.subscriptions.channel import Subscription


class Policies:
    """Merges policies. What is configured is never overwritten by a request.

    Args:
        options: the tables ``[[policies]]``.
        configured: the policy of each of the ``[[subscriptions]]``, by event and canonical socket.
    """

    def __init__(
        self, options: Sequence[PolicyOptions] = (), configured: Mapping[tuple[str, str], Policy] | None = None
    ) -> None:
        self._requests: dict[Subscriber, dict[Subscription, Policy]] = {}  # the latest one first
        self.configure(options, configured or {})

    def configure(self, options: Sequence[PolicyOptions], configured: Mapping[tuple[str, str], Policy]) -> None:
        """Exchange what is configured."""
        self._options = options
        self._configured = configured
        self._of_sockets: dict[str, Policy] = {}
        for (_, canonical), policy in configured.items():
            self._of_sockets[canonical] = policy.over(self._of_sockets.get(canonical, NONE))

    def request(self, lease: Subscription, policy: Policy) -> None:
        """Keep what is requested for *lease*, in the place of an earlier request for it."""
        lease.requested = policy
        requests = self._requests.pop(lease.subscriber, {})
        requests.pop(lease, None)
        if policy is not NONE:
            requests = {lease: policy, **requests}
        if requests:
            self._requests[lease.subscriber] = requests

    def of_lease(self, lease: Subscription) -> Policy:
        """Return the part of the policy that concerns *lease* alone."""
        if not self._options and not self._configured and lease.requested is NONE:
            return NONE
        canonical = lease.subscriber.socket.canonical
        configured = self._configured.get((lease.event.name, canonical), NONE).over(self._matching(canonical))
        return configured.over(lease.requested).of(OF_LEASES)

    def of_subscriber(self, subscriber: Subscriber) -> Policy:
        """Return the policy of *subscriber* with all its leases."""
        requests = self._requests.get(subscriber)
        if not self._options and not self._of_sockets and not requests:
            return NONE
        canonical = subscriber.socket.canonical
        policy = self._of_sockets.get(canonical, NONE).over(self._matching(canonical))
        for requested in (requests or {}).values():
            policy = policy.over(requested)
        return policy.of(OF_SUBSCRIBERS)

    def _matching(self, canonical: str) -> Policy:
        return matching(self._options, canonical)
