"""The plugin: a web page for operators."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from evframe_http import MovingSite, Serving

from evframe import hookimpl
from evframe.plugin import PluginContext, StatisticGroup
from evframe_web.access import Access
from evframe_web.desk import Desk
from evframe_web.options import Options as WebOptions

if TYPE_CHECKING:
    from evframe import Event, Socket
    from evframe.plugin import Subscriber

log = logging.getLogger("evframe.web")


class Web:
    """The plugin object.

    Args:
        options: the table ``[plugins.web]``.
        clock: the monotonic clock, in seconds, by which deliveries fail.
    """

    kind = "exporter"
    Options = WebOptions

    def __init__(self, options: WebOptions | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = Access(WebOptions() if options is None else options)
        self._clock = clock
        self._desk: Desk | None = None
        self._site = MovingSite(self._serving, log, option="plugins.web.bind", leave=self._leave)
        self._changes: dict[str, tuple[float, str | None]] = {}

    @property
    def address(self) -> Any:
        """The host and the port, or did last; None before the start."""
        return self._site.address

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        self._desk = Desk(context, self._access, self._changes)
        self._site.open(self._access.options.target)

    def _serving(self) -> Serving:
        return Serving("evframe_web.library", lambda library: library.server_of(self._desk), lambda: self._access.tls)

    def _leave(self) -> None:
        if self._desk is not None:
            self._desk.viewers.close_all()

    @hookimpl
    def stop(self) -> Awaitable[object]:
        """Close the address, and what pages look at."""
        if self._desk is not None:
            self._desk.snapshots.forget()
        return self._site.close()

    @hookimpl
    def reconfigure(self, options: WebOptions) -> Callable[[], None]:
        """Take other options; another address is bound before the present one is closed.

        Raises:
            OSError: if the address cannot be used.
            ValueError: if the file with the token cannot.
        """
        before, access = self._access, Access(options)
        move_back = None if self._desk is None else self._site.move(access.options.target)
        self._use(access)

        def take_back() -> None:
            self._use(before)
            if move_back is not None:
                move_back()

        return take_back

    def _use(self, access: Access) -> None:
        self._access = access
        if self._desk is not None:
            self._desk.use(access)

    # What is observed

    @hookimpl
    def delivery_changed(self, socket: Socket, reason: str | None, event: Event | None) -> None:  # noqa: ARG002 the event is not used
        """Record since when deliveries fail, or work again."""
        self._changes[socket.canonical] = self._clock(), reason

    @hookimpl
    def subscriber_released(self, subscriber: Subscriber) -> None:
        """Forget a subscriber that has ended, and count apart what pages have caused."""
        self._changes.pop(subscriber.socket.canonical, None)
        if self._desk is not None:
            self._desk.own.release(subscriber)

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Return how many pages look, and what was not sent to them."""
        desk = self._desk
        if desk is None:
            return []
        viewers = desk.viewers
        counters = {
            "lost": viewers.lost,
            "skipped": viewers.skipped,
            "snapshots": desk.snapshots.made,
            "refused": desk.refused,
            "actions": desk.actions,
        }
        return [StatisticGroup("web", counters, {"viewers": len(viewers), "waiting_bytes": viewers.waiting_bytes})]
