"""Who has subscribed a socket: this process and its configuration, or run-time clients alone."""

from __future__ import annotations

from evframe import Socket
from evframe.plugin import LeaseChange, PluginContext, Subscription, leaves


def leases_of(context: PluginContext, socket: Socket) -> list[Subscription]:
    """Return the leases of *socket*."""
    subscriber = context.roster.by_socket.get(socket.canonical)
    if subscriber is None:
        return []
    return [event.leases[subscriber] for event in context.raising.events if subscriber in event.leases]


class Holders:
    """The leases of sockets, also for servers that want no further events."""

    def __init__(self) -> None:
        self._context: PluginContext | None = None
        self._of_groups: dict[str, bool] = {}
        self._ended: set[str] = set()

    def use(self, context: PluginContext) -> None:
        """Look leases up with *context*."""
        self._context = context

    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Be notified by the hook of this name."""
        self._of_groups.clear()
        if change not in {"ended", "expired"}:
            self._ended.discard(lease.subscriber.socket.canonical)

    def end(self, socket: Socket) -> list[Subscription]:
        """End the leases of *socket* itself, and not of the groups that it is a member of; return them."""
        if self._context is None:
            return []
        leases = leases_of(self._context, socket)
        if leases:
            self._ended.add(socket.canonical)
        for lease in leases:
            self._context.leases.end(lease)
        return leases

    def have_ended(self, canonical: str) -> bool:
        """Return whether `end` has ended the leases of a socket, which has got no other one since."""
        return canonical in self._ended

    def forget(self, canonical: str) -> None:
        """Forget a subscriber that has ended."""
        self._ended.discard(canonical)

    def are_clients(self, socket: Socket) -> bool:
        """Return whether neither this process nor its configuration has subscribed *socket*, or a group with it."""
        if self._context is None:
            return False
        if any(not lease.is_client for lease in leases_of(self._context, socket)):
            return False
        known = self._of_groups.get(socket.canonical)
        if known is None:
            known = self._of_groups[socket.canonical] = not any(
                not lease.is_client and socket in leaves(lease.subscriber.socket)
                for lease in self._context.leases.subscriptions
                if getattr(lease.subscriber.socket, "members", ())
            )
        return known
