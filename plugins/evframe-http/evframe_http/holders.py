"""Who has subscribed a socket: this process and its configuration, or run-time clients alone."""

from __future__ import annotations

from evframe import Socket
from evframe.plugin import PluginContext, Subscription, leaves


def leases_of(context: PluginContext, socket: Socket) -> list[Subscription]:
    """Return the leases of *socket*."""
    subscriber = context.roster.by_socket.get(socket.canonical)
    if subscriber is None:
        return []
    return [event.leases[subscriber] for event in context.raising.events if subscriber in event.leases]


class Holders:
    """The leases of sockets."""

    def __init__(self) -> None:
        self._context: PluginContext | None = None
        self._of_groups: dict[str, bool] = {}

    def use(self, context: PluginContext) -> None:
        """Look leases up with *context*."""
        self._context = context

    def changed(self) -> None:
        """Look the leases of groups up again, because a lease has changed."""
        self._of_groups.clear()

    def leases(self, socket: Socket) -> list[Subscription]:
        """Return the leases of *socket* itself, and not of the groups that it is a member of."""
        return [] if self._context is None else leases_of(self._context, socket)

    def end(self, lease: Subscription) -> None:
        """End a lease."""
        if self._context is not None:
            self._context.leases.end(lease)

    def are_clients(self, socket: Socket) -> bool:
        """Return whether neither this process nor its configuration has subscribed *socket*, or a group with it."""
        if self._context is None:
            return False
        if any(not lease.is_client for lease in self.leases(socket)):
            return False
        known = self._of_groups.get(socket.canonical)
        if known is None:
            known = self._of_groups[socket.canonical] = not any(
                not lease.is_client and socket in leaves(lease.subscriber.socket)
                for lease in self._context.leases.subscriptions
                if getattr(lease.subscriber.socket, "members", ())
            )
        return known
