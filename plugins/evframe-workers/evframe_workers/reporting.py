"""What a worker reports beside outcomes: which peers it cannot reach, and its figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from evframe_workers import messages
from evframe_workers.settings import NAME

if TYPE_CHECKING:
    from evframe import Event, Socket
    from evframe.plugin import PluginContext, Subscriber
    from evframe_workers.deliveries import Deliveries

_EVERY_S: Final = 1.0
_SLICE: Final = 1024


class Reports:
    """Sends what has changed, each second and when deliveries begin to fail.

    Args:
        context: of the plugin in the worker.
        deliveries: of the worker.
        write: sends a message to the front.
    """

    def __init__(
        self, context: PluginContext, deliveries: Deliveries[Subscriber], write: Callable[[bytes], object]
    ) -> None:
        self._context = context
        self._deliveries = deliveries
        self._write = write
        self._states: dict[int, tuple[str | None, bool]] = {}
        self._figures = b""

    async def run(self) -> None:
        """Send what changes."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._send_states()
            self._send_figures()

    def delivery_changed(self, socket: Socket, reason: str | None, event: Event | None) -> None:
        """Report a change at once; outcomes that are known go first."""
        for number, target in self._deliveries.targets.items():
            if target.handle is not None and target.handle.socket.canonical == socket.canonical:
                rows = self._changed_row(number, target.handle)
                if rows:
                    self._write(messages.json_message(messages.STATES, rows))
                name = None if event is None else event.name
                self._write(messages.json_message(messages.CHANGED, [number, reason, name]))

    def _changed_row(self, number: int, subscriber: Subscriber) -> list[Any]:
        state = self._context.roster.away(subscriber), bool(subscriber.reached or subscriber.delivered)
        if self._states.get(number) == state:  # the first one is sent: an earlier process may have sent another
            return []
        self._states[number] = state
        return [[number, *state]]

    async def _send_states(self) -> None:
        targets = self._deliveries.targets
        for gone in self._states.keys() - targets.keys():
            del self._states[gone]
        rows: list[Any] = []
        for at, (number, target) in enumerate(list(targets.items())):
            if at % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            if target.handle is not None:
                rows += self._changed_row(number, target.handle)
        if rows:
            self._write(messages.json_message(messages.STATES, rows))

    def _send_figures(self) -> None:
        groups = [
            (group.name, group.counters, group.gauges)
            for group in self._context.plugins.statistics()
            if group.name != NAME
        ]
        described = {}
        for number, target in self._deliveries.targets.items():
            if target.handle is not None and getattr(target.handle.socket, "members", None):
                found = self._context.leases.describe(target.handle.socket)
                if found:
                    described[str(number)] = found
        figures = messages.json_message(messages.FIGURES, [groups, described])
        if figures != self._figures:
            self._figures = figures
            self._write(figures)
