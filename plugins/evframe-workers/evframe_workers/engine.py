"""Deliveries of a worker by its interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from evframe import UnknownEventError
from evframe.plugin import Policy

if TYPE_CHECKING:
    from evframe import Event, EventDefinition
    from evframe.plugin import PluginContext, Subscriber


class InterfaceEngine:
    """Delivers events to the subscribers of an interface, which have no leases: the front has them.

    Args:
        context: of the plugin in the worker.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._roster = context.roster
        self._get_turn = context.roster.scheduler.get_turn

    def open(self, text: str, policy: Mapping[str, Any], *, is_configured: bool) -> Subscriber:
        """Return the subscriber of a socket."""
        subscriber = self.follow(None, text, policy, is_configured=is_configured)
        subscriber.add_lease()
        self._roster.check(subscriber, probe=is_configured)
        return subscriber

    def follow(
        self,
        handle: Subscriber | None,  # noqa: ARG002 the socket has one subscriber
        text: str,
        policy: Mapping[str, Any],
        *,
        is_configured: bool,
    ) -> Subscriber:
        """Have the subscriber use another policy, or another secret in its text."""
        address = self._context.transports.parse(text, configured=is_configured)
        wanted = Policy.read(policy)
        subscriber = self._roster.open(address)
        self._roster.apply(subscriber, wanted)
        return subscriber

    def end(self, handle: Subscriber) -> None:
        """End the subscriber."""
        handle.remove_lease()
        self._roster.scheduler.end(handle)

    def definition_of(self, name: str) -> EventDefinition:
        """Return the definition of an event."""
        try:
            return self._context.raising.event(name)
        except UnknownEventError:
            self._context.register_event(name)
            return self._context.raising.event(name)

    def put(self, handle: Subscriber, event: Event, done: Callable[[str | None], Any]) -> None:
        """Queue an event."""
        if handle.put(event, done):
            self._get_turn(handle)
