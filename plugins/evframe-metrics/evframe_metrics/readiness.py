"""Whether the process is ready: the interface runs, and what is required works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import TYPE_CHECKING

import attrs

from evframe.plugin import shown_socket

if TYPE_CHECKING:
    from evframe import Socket
    from evframe.plugin import PluginContext, StatusChange


@attrs.frozen
class _Failure:
    since: float
    reason: str


class Readiness:
    """Keeps since when deliveries fail, and which status is negative.

    Args:
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failure] = {}  # by the canonical text of the socket
        self._required: tuple[str, ...] = ()
        self._negative: dict[str, float] = {}  # the identifiers of these that are not ready, by since when

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

    def require(self, context: PluginContext, identifiers: Iterable[str]) -> None:
        """Require that each identifier is ready where it exists; one that is not is taken for one that has never been.

        Args:
            context: of the plugin.
            identifiers: ``group/identifier`` each.
        """
        self._required = tuple(each.casefold() for each in identifiers)
        negative = dict.fromkeys((each for each in self._required if _problem(context, each) is not None), -inf)
        self._negative = {**negative, **{each: self._negative[each] for each in negative.keys() & self._negative}}

    def status_changed(self, change: StatusChange) -> None:
        """Record since when a required identifier is not ready."""
        name = f"{change.group}/{change.identifier}".casefold()
        if name in self._required:
            if change.status > 0:
                self._negative.pop(name, None)
            else:
                self._negative.setdefault(name, self._clock())

    def problems(self, context: PluginContext, failing_s: float) -> Iterator[str]:
        """Yield why the process is not ready; nothing when it is.

        Args:
            context: of the plugin.
            failing_s: for how long what is required may fail.
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
        for name, since in self._negative.items():
            problem = _problem(context, name)
            if problem is not None and now - since > failing_s:
                yield f"{name} is not ready: {problem}"


def _problem(context: PluginContext, name: str) -> str | None:
    """Return what an identifier says of itself that is not ready; None for one that is, or does not exist."""
    group_name, _, identifier_name = name.partition("/")
    group = context.status.find(group_name)
    identifier = None if group is None else group.find(identifier_name)
    if identifier is None or identifier.ready:
        return None
    return identifier.details or str(identifier.status)
