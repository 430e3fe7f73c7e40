"""The plugin: metrics for Prometheus, and the state of the process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from evframe_http import Guard, OriginGuard, Serving, Site, Warnings

from evframe import hookimpl
from evframe.plugin import PluginContext, StatisticGroup
from evframe_metrics import catalog
from evframe_metrics.delays import Delays
from evframe_metrics.detail import Detail
from evframe_metrics.exposition import OPENMETRICS, PLAIN, readable
from evframe_metrics.options import Options as MetricsOptions
from evframe_metrics.pages import Page, text_page
from evframe_metrics.readiness import Readiness
from evframe_metrics.scrape import Scrape
from evframe_metrics.sums import Sums

if TYPE_CHECKING:
    from evframe import Event, Socket
    from evframe.plugin import Changes, StatusChange, Subscriber

log = logging.getLogger("evframe.metrics")


class Metrics:
    """The plugin object.

    Args:
        options: the table ``[plugins.metrics]``.
        clock: the monotonic clock, in seconds, by which deliveries fail.
    """

    kind = "exporter"
    Options = MetricsOptions
    policy_keys: ClassVar = frozenset({"required"})

    def __init__(self, options: MetricsOptions | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = MetricsOptions() if options is None else options
        self._guard = Guard(self._options.credentials, log)
        self._warnings = Warnings(log)
        self._context: PluginContext | None = None
        self._site: Site | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._detail = _detail_of(self._options)
        self._delays = Delays()
        self._readiness = Readiness(clock)
        self._end_observing: Callable[[], None] | None = None
        self._lock = asyncio.Lock()  # several scrapes at once would take the loop's time from deliveries
        self._is_scraping = False
        self._released = 0  # the events of subscribers that have ended, when the last of them did
        self._scrapes = self._refused = self._reloads = self._reloads_refused = 0
        self._is_loaded = True  # by the last reload

    @property
    def address(self) -> Any:
        """The host and the port, or did last; None before the start."""
        return None if self._site is None else self._site.address

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then observe, and serve."""
        self._context = context
        self._released = context.roster.ended.raised
        self._site = self._site_at(self._options, None)
        self._observe(self._options)
        self._require()

    @hookimpl
    def stop(self) -> Awaitable[object]:
        """Close the address, and observe no more."""
        self._observe(None)
        if self._site is not None:
            self._close(self._site)
        return asyncio.gather(*self._closing, return_exceptions=True)

    def _site_at(self, options: MetricsOptions, before: Site | None) -> Site:
        serving = Serving("evframe_metrics.library", lambda library: library.server_of(self._answer, self._warnings))
        return Site(options.target, serving, log, before, option="plugins.metrics.bind")

    def _observe(self, options: MetricsOptions | None) -> None:
        """Observe batches as *options* say; None for not at all."""
        if self._end_observing is not None:
            self._end_observing()
            self._end_observing = None
        if options is not None and options.delays and self._context is not None:
            self._end_observing = self._context.observe(self._delays.observe)

    def _require(self) -> None:
        if self._context is not None:
            self._readiness.require(self._context, self._options.required_status)

    def _close(self, site: Site) -> None:
        ending = site.close()
        self._closing.add(ending)
        ending.add_done_callback(self._closing.discard)

    @hookimpl
    def reconfigure(self, options: MetricsOptions) -> Callable[[], None]:
        """Take other options; another address is bound before the present one is closed.

        Raises:
            OSError: if the address cannot be used.
            ValueError: if the file with the token cannot.
        """
        before = self._options, self._guard, self._detail
        guard = Guard(options.credentials, log)
        move_back = self._move(options)
        self._options, self._guard = options, guard
        self._observe(options)
        self._require()
        if (options.detail, options.max_series) != (before[0].detail, before[0].max_series):
            self._detail = _detail_of(options)

        def take_back() -> None:
            self._options, self._guard, self._detail = before
            self._observe(before[0])
            self._require()
            move_back()

        return take_back

    def _move(self, options: MetricsOptions) -> Callable[[], None]:
        """Listen as *options* say; return what undoes it before the next turn of the loop."""
        old = self._site
        if old is None or old.is_at(options.target):
            return lambda: None
        new = self._site = self._site_at(options, old)
        closing = asyncio.get_running_loop().call_soon(self._close, old)

        def undo() -> None:
            closing.cancel()
            self._close(new)
            self._site = old

        return undo

    # What is observed

    @hookimpl
    def delivery_changed(self, socket: Socket, reason: str | None, event: Event | None) -> None:  # noqa: ARG002 the event is not used
        """Record since when deliveries fail."""
        self._readiness.change(socket, reason)

    @hookimpl
    def status_changed(self, change: StatusChange) -> None:
        """Record since when a required status is negative."""
        self._readiness.status_changed(change)

    @hookimpl
    def subscriber_released(self, subscriber: Subscriber) -> None:
        """Keep the counts of a subscriber that has ended; a combined subscriber has those of its members."""
        self._readiness.forget(subscriber.socket)
        if self._context is None:
            return
        raised = self._context.roster.ended.raised
        is_member, self._released = raised == self._released, raised
        if self._detail is not None and not is_member:
            self._detail.release(subscriber)

    @hookimpl
    def reloaded(self, changes: Changes) -> None:  # noqa: ARG002 what has changed does not matter
        """Count a reload."""
        self._reloads += 1
        self._is_loaded = True

    @hookimpl
    def reload_refused(self, problems: Sequence[str]) -> None:  # noqa: ARG002 the log has them
        """Count a reload that has changed nothing."""
        self._reloads_refused += 1
        self._is_loaded = False

    # What is shown

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Return the numbers of the metrics, by event and by transport."""
        context = self._context
        if context is None or self._is_scraping:  # which has the same numbers from where they are kept
            return []
        sums = Sums(context)
        for subscriber in sums.subscribers:
            sums.count(subscriber)
        counters = {"scrapes": self._scrapes, "refused": self._refused, "reloads": self._reloads}
        counters["reloads_refused"] = self._reloads_refused
        in_other = 0 if self._detail is None else self._detail.in_other
        return [
            StatisticGroup("metrics", counters, {"subscribers_in_other": in_other}),
            StatisticGroup("events", {readable(event.name): event.raised for event in context.raising.events}),
            StatisticGroup("deliveries", *sums.statistics()),
            StatisticGroup("batches", {name: each.count for name, each in self._delays.by_transport.items()}),
        ]

    async def _answer(self, path: str, headers: Mapping[str, str]) -> Page:
        if path == "/livez":
            return text_page(200, "alive")
        if path == "/readyz":
            problems = self._problems()
            return text_page(503, "\n".join(problems)) if problems else text_page(200, "ready")
        if path != "/metrics":
            return text_page(404, "expected /metrics, /livez or /readyz")
        status = self._refusal(headers)
        if status is not None:
            self._refused += 1
            challenge = {"WWW-Authenticate": ", ".join(self._guard.challenges)} if status == 401 else {}
            return text_page(status, "Unauthorized" if status == 401 else "Forbidden", challenge)
        is_open = "application/openmetrics-text" in headers.get("Accept", "")
        pieces = await self._scrape(is_open=is_open)
        return Page(200, pieces, OPENMETRICS if is_open else PLAIN)

    def _refusal(self, headers: Mapping[str, str]) -> int | None:
        """Return the status that a request for the metrics is refused with; None when it may be answered."""
        if not self._guard.allows(headers.get("Authorization")):
            return 401
        # A web page could read the metrics otherwise, once the name of its server resolves to this machine.
        origins = OriginGuard(self._options.target[0], (), ())
        problem = origins.problem([headers.get("Host", "")], None, None, is_known=self._guard.asks)
        return None if problem is None else 403

    def _problems(self) -> list[str]:
        assert self._context is not None
        return list(self._readiness.problems(self._context, self._options.required_failing_s))

    async def _scrape(self, *, is_open: bool) -> list[bytes]:
        assert self._context is not None
        async with self._lock:
            self._scrapes += 1
            self._is_scraping = True
            try:
                groups = self._context.plugins.statistics()
            finally:
                self._is_scraping = False
            scrape = Scrape(self._context, self._delays, self._detail)
            state = {
                catalog.READY: int(not self._problems()),
                catalog.GENERATION: self._reloads,
                catalog.LAST_RELOAD: int(self._is_loaded),
                catalog.RELOADS_REFUSED: self._reloads_refused,
            }
            return await scrape.text(groups, state, is_open=is_open)


def _detail_of(options: MetricsOptions) -> Detail | None:
    return Detail(options.max_series) if options.detail else None
