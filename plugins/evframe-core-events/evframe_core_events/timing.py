"""Operations that take longer than they may: calls of routes, deliveries, turns of the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from evframe import Batch, Event, Socket, depth
from evframe.plugin import LogLimiter, PluginContext

log = logging.getLogger("evframe.core-events")
THRESHOLD: Final = "E_CORE_THRESHOLD"
_EXTRA_BYTES: Final = 4096
_LOGGED: Final = 200  # characters
_OUTCOME_S: Final = 10.0


class SlowOperations:
    """Raises E_CORE_THRESHOLD for each, and logs one every ten seconds of a kind.

    Args:
        raise_event: raises an event by its name; from any thread.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, raise_event: Callable[[str, dict[str, Any]], None], clock: Callable[[], float]) -> None:
        self._raise = raise_event
        self._limiter = LogLimiter(clock=clock)

    def report(self, source: str, seconds: float, extra: str) -> None:
        """Report one; from any thread."""
        self._raise(THRESHOLD, self._logged(source, seconds, extra))

    def _logged(self, source: str, seconds: float, extra: str) -> dict[str, Any]:
        params = {"source": source, "time": round(seconds * 1e6), "extra": extra}
        repeated = self._limiter.due(source)
        if repeated is not None:
            shown = {**params, "extra": extra[:_LOGGED], "repeated": repeated}
            log.warning("an operation took longer than its limit", extra=shown)
        return params

    def route_returned(self, name: str, event: Event, seconds: float) -> None:
        """Report a route that took so long, unless the event is a meta event: its handler would feed itself."""
        if not event.definition.is_meta:
            payload = event.payload[:_EXTRA_BYTES].decode("utf-8", "replace")
            self.report("event route", seconds, f"route:{name} {payload}")

    def delivered(self, limit_s: float, socket: Socket, batch: Batch, _: BaseException | None, seconds: float) -> None:
        """Report a batch whose outcome took longer than *limit_s*, unless all of its events are meta events."""
        if seconds <= limit_s or all(event.definition.is_meta for event in batch.events):
            return
        token = depth.set(max(event.depth for event in batch.events) + 1)
        try:
            first = batch.events[0].name
            self.report("delivery", seconds, f"{socket.canonical} {len(batch.events)} events, first {first}")
        finally:
            depth.reset(token)

    async def watch_loop(self, context: PluginContext, limit_s: float) -> None:
        """Report each time that the running loop is late by more than *limit_s*."""
        loop = asyncio.get_running_loop()
        period_s = max(0.005, min(0.25, limit_s / 4))
        while True:
            due = loop.time() + period_s
            await asyncio.sleep(period_s)
            late_s = loop.time() - due
            if late_s > limit_s:
                params = self._logged("event loop", late_s, "")
                # What handles the event may be what holds the loop up: until it has, nothing is measured.
                await context.raising.raise_event_and_wait(THRESHOLD, params, timeout_s=_OUTCOME_S)
