"""The leases of one stream: on the events that its patterns match, for as long as it is open."""

from __future__ import annotations

from collections.abc import Sequence

from evframe_http import Refused
from evframe_http.holders import leases_of
from evframe_wire.patterns import compile_pattern

from evframe.plugin import (
    NO_POLICY,
    Address,
    Channel,
    ForbiddenError,
    PluginContext,
    Policy,
    Subscriber,
    Subscription,
    Terms,
    leaves,
)


class Leases:
    """Makes and ends the leases of one socket.

    Args:
        context: of the plugin.
        address: of the socket.
        is_named: whether the socket may have other connections later, so that the configuration may subscribe it.
    """

    def __init__(self, context: PluginContext, address: Address, *, is_named: bool) -> None:
        self._context = context
        self._address = address
        self._is_named = is_named
        self._patterns: Sequence[str] = ()
        self._terms = Terms()

    @property
    def subscriber(self) -> Subscriber | None:
        """The subscriber; None when it has no lease yet, or no more."""
        return self._context.roster.by_socket.get(self._address.socket.canonical)

    @property
    def events(self) -> list[str]:
        """The names of the events that are subscribed."""
        return [lease.event.name for lease in self._all()]

    def follow(self, patterns: Sequence[str], policy: Policy = NO_POLICY) -> None:
        """Have leases on the events that match *patterns*, and on no others.

        Raises:
            Refused: if that is not permitted, or an event does not exist; nothing has changed then.
        """
        wanted = self._checked(patterns, policy)
        self._patterns, self._terms = patterns, Terms(0, self._context.name, policy)
        before = self._all()
        for event in wanted:
            self._context.leases.subscribe_client(event, self._address, self._terms)
        for lease in before:  # after the others, because a subscriber ends with its last lease
            if lease.event not in wanted:
                self._leave(lease)

    def _checked(self, patterns: Sequence[str], policy: Policy) -> list[Channel]:
        context = self._context
        try:
            check_permission(context, self._address)
        except ForbiddenError as error:
            raise Refused(403, error.problem) from None
        known = {event.name: event for event in context.raising.events}
        for pattern in patterns:
            if not set(pattern) & set("*?[\\") and pattern not in known:
                raise Refused(404, f"event: expected an event that is registered, got {pattern[:100]!r}")
        wanted = [event for event in known.values() if _matches(patterns, event.name)]
        try:
            for event in wanted:
                context.plugins.check_policy(policy, event)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        return wanted

    def add(self, event: Channel) -> bool:
        """Have a lease on an event that is registered later, if it matches; return whether it does."""
        is_meant = _matches(self._patterns, event.name)
        if is_meant:
            self._context.leases.subscribe_client(event, self._address, self._terms)
        return is_meant

    @property
    def are_gone(self) -> bool:
        """Whether others have ended all leases that the stream has asked for."""
        meant = any(_matches(self._patterns, event.name) for event in self._context.raising.events)
        return meant and not self.are_needed

    @property
    def are_needed(self) -> bool:
        """Whether the socket has a lease, of whomever, or is a member of one that has."""
        subscriber = self.subscriber
        if subscriber is not None and subscriber.leases:
            return True
        if not self._is_named:  # the configuration alone has groups with members that live so
            return False
        subscribed = {each for event in self._context.raising.events for each in event.leases}
        own = self._address.socket.canonical
        return any(leaf.canonical == own for each in subscribed for leaf in leaves(each.socket))

    def end(self) -> None:
        """End the leases of the stream; without others on the socket, what waits is not sent any more."""
        self._patterns = ()
        leases, subscriber = self._all(), self.subscriber
        if subscriber is not None and all(map(self._is_own, leases)):
            subscriber.fail_waiting("unsubscribed")
        for lease in leases:
            self._leave(lease)

    def _all(self) -> list[Subscription]:
        """Return the leases of the socket."""
        return leases_of(self._context, self._address.socket)

    def _is_own(self, lease: Subscription) -> bool:
        """Return whether a client has made *lease*; a socket that ends with its connection has no others."""
        return not self._is_named or lease.is_client

    def _leave(self, lease: Subscription) -> None:
        """End *lease*; one that the configuration holds loses what the client has asked for."""
        if self._is_own(lease):
            self._context.leases.end(lease)
        elif lease.requested is not NO_POLICY:
            self._context.leases.subscribe_client(lease.event, self._address, Terms(0, self._context.name))


def check_permission(context: PluginContext, address: Address) -> None:
    """Raise ForbiddenError unless clients of the plugin of *context* may subscribe *address*."""
    if not context.plugins.decide("check_lease", socket=address.socket, interface=context.name):
        problem = "expected a loaded plugin that has the rules of run-time clients, such as mi"
        raise ForbiddenError("schemes", address.socket.canonical, problem)


def _matches(patterns: Sequence[str], name: str) -> bool:
    return any(compile_pattern(pattern).match(name) for pattern in patterns)
