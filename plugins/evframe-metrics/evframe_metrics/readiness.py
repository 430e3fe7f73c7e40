"""Whether the process is ready: the interface runs, and deliveries to required subscribers work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs

from evframe.plugin import shown_socket

if TYPE_CHECKING:
    from evframe import Socket
    from evframe.plugin import PluginContext


@attrs.frozen
class _Failure:
    since: float
    reason: str


class Readiness:
    """Keeps since when deliveries fail.

    Args:
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failure] = {}  # by the canonical text of the socket

    def change(self, socket: Socket, reason: str | None) -> None:
        """Record that deliveries begin to fail with *reason*, or work again."""
        canonical = socket.canonical
        if reason is None:
            self._failures.pop(canonical, None)
        elif canonical not in self._failures:
            self._failures[canonical] = _Failure(self._clock(), reason)

    def forget(self, socket: Socket) -> None:
        """Remove a subscriber that has ended."""
        self._failures.pop(socket.canonical, None)

    def problems(self, context: PluginContext, failing_s: float) -> Iterator[str]:
        """Yield why the process is not ready; nothing when it is.

        Args:
            context: of the plugin.
            failing_s: for how long deliveries to a required subscriber may fail.
        """
        if not context.host.is_running:
            yield "the interface does not run"
        now = self._clock()
        for canonical, failure in self._failures.items():
            subscriber = context.roster.by_socket.get(canonical)
            seconds = now - failure.since
            if subscriber is not None and subscriber.policy.required and seconds > failing_s:
                shown = shown_socket(subscriber.socket)
                yield f"deliveries to {shown} have failed for {seconds:.0f} s: {failure.reason}"
