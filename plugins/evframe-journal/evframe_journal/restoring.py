"""Events of an earlier process."""

from __future__ import annotations

from evframe_wire.reading import read

from evframe import Event, EventDefinition, UnknownEventError
from evframe.plugin import PluginContext
from evframe_journal.carried import unpacked


class RestoredEvents:
    """Makes events of their payloads."""

    def __init__(self) -> None:
        self.context: PluginContext | None = None
        """Knows the events that are registered."""
        self._last: EventDefinition | None = None  # of the last event: most are of one kind

    def event_of(self, payload: bytes, raised_at: float) -> Event:
        """Return the event, with its headers, that was raised at *raised_at* on the monotonic clock."""
        payload, headers = unpacked(payload)
        if self._last is None or not payload.startswith(self._last.head):
            self._last = self._definition(read(payload)["method"])
        event = self._last.restored(payload, raised_at)
        return event if headers is None else event.carrying(headers)

    def _definition(self, name: str) -> EventDefinition:
        assert self.context is not None
        try:
            return self.context.raising.event(name)
        except UnknownEventError:  # its source is not loaded, or registers it later
            self.context.register_event(name)
            return self.context.raising.event(name)
