"""The plugin: observes, measures and counts what the core and the other plugins do."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import attrs
import psutil

from evframe import hookimpl
from evframe.plugin import (
    CommandTable,
    EventCollector,
    PluginContext,
    StatisticGroup,
    StatusChange,
    StatusRegistry,
    WorkerGroup,
    comes_from_outside,
)
from evframe_core_events.consumer import LogConsumer
from evframe_core_events.events import EVENTS
from evframe_core_events.logs import EventHandler, RateLimit
from evframe_core_events.memory import Level, Memory, Usage
from evframe_core_events.options import Options as CoreEventsOptions
from evframe_core_events.reports import StatusCommands
from evframe_core_events.scaling import Scaler, Step
from evframe_core_events.timing import SlowOperations
from evframe_core_events.watches import Watches

log = logging.getLogger("evframe.core-events")
LOG: Final = "E_CORE_LOG"
_REPORTS: Final = 100


class CoreEvents:
    """The plugin object.

    Args:
        options: the table ``[plugins.core-events]``.
        clock: the monotonic clock, in seconds.
        sleep: waits so many seconds.
        root: where ``proc`` and ``sys`` are, for the limits of cgroups.
    """

    kind = "source"
    Options = CoreEventsOptions

    def __init__(
        self,
        options: CoreEventsOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        root: str = "/",
    ) -> None:
        self._options = options = CoreEventsOptions() if options is None else options
        self._sleep = sleep
        self._context: PluginContext | None = None
        self._slow = SlowOperations(self._raise, clock)
        self._memory = Memory(root)
        self._pkg = Level(options.event_pkg_threshold)
        self._shm = Level(options.event_shm_threshold)
        self._profile = options.profile
        self._scalers: dict[tuple[str, str], Scaler] = {}
        limit = RateLimit(options.log_rate_limit, clock)
        handler = EventHandler(options, self._raise_log, self._has_log_subscribers, limit)
        self._logs = LogConsumer(handler, muted=not options.log_event_enabled, sleep=sleep)
        self._stop_observing: Callable[[], None] | None = None
        self._watches: Watches | None = None

    def _raise(self, name: str, params: dict[str, Any]) -> None:
        if self._context is not None:
            self._context.raise_event(name, params)

    def _raise_log(self, params: dict[str, Any]) -> None:
        self._raise(LOG, params)

    def _has_log_subscribers(self) -> bool:
        return self._context is not None and self._context.has_subscribers(LOG)

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the core events."""
        for event in EVENTS:
            collector.add(event)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands about statuses and log lines."""
        for command in (*StatusCommands(self._registry).commands(), *self._logs.commands()):
            commands.add(command)

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Measure the memory."""
        try:
            return self._memory.statistics()
        except (OSError, ValueError, psutil.Error):
            return []  # the status of the plugin says why, if there are limits

    def _registry(self) -> StatusRegistry:
        assert self._context is not None
        return self._context.status

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what raises events, and have the calls of routes measured."""
        self._context = context
        context.status.group("core-events").add(details="running")
        self._measure_calls(context)

    def _measure_calls(self, context: PluginContext) -> None:
        context.call_limit.clear()
        if self._options.exec_route_threshold_us:
            context.call_limit.set(self._options.exec_route_threshold_us / 1e6, self._slow.route_returned)

    def _measure_deliveries(self, context: PluginContext) -> None:
        self._stop_measuring()
        if self._options.delivery_threshold_us:
            limit_s = self._options.delivery_threshold_us / 1e6
            self._stop_observing = context.observe(partial(self._slow.delivered, limit_s))

    def _stop_measuring(self) -> None:
        if self._stop_observing is not None:
            self._stop_observing()
            self._stop_observing = None

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Start the measurements that the options ask for."""
        self._measure_calls(context)
        self._measure_deliveries(context)
        self._watches = Watches(context.spawn)
        self._watch(context, self._watches)
        self._logs.start(context.spawn)

    def _watch(self, context: PluginContext, watches: Watches) -> None:
        options = self._options
        watches_memory = options.event_pkg_threshold or options.event_shm_threshold
        watches.follow("loop", options.loop_lag_threshold_us / 1e6, partial(self._slow.watch_loop, context))
        watches.follow(
            "memory", options.memory_check_interval_s if watches_memory else 0, partial(self._every, self.check_memory)
        )
        watches.follow(
            "workers", options.auto_scaling_cycle_s if self._profile else 0, partial(self._every, self.check_workers)
        )

    @hookimpl
    def reconfigure(self, options: CoreEventsOptions) -> Callable[[], None]:
        """Take other options; percentages that were reported, loads that were seen and what commands have set stay."""
        before, logs = self._options, self._logs.state()
        self._adopt(options)

        def take_back() -> None:
            self._adopt(before)
            self._logs.restore(logs)

        return take_back

    def _adopt(self, options: CoreEventsOptions) -> None:
        before, self._options = self._options, options
        self._pkg.threshold, self._shm.threshold = options.event_pkg_threshold, options.event_shm_threshold
        if options.profile != self._profile:
            self._profile = options.profile
            self._scalers.clear()
        self._logs.adopt(before, options)
        if self._context is not None:
            self._measure_calls(self._context)
            if self._watches is not None:
                self._measure_deliveries(self._context)
                self._watch(self._context, self._watches)

    async def _every(self, check: Callable[[], None], seconds: float) -> None:
        while True:
            await self._sleep(seconds)
            try:
                check()
            except BaseException as error:
                if comes_from_outside(error):
                    raise
                log.exception("a check ended with an error", extra={"check": check.__name__})

    @hookimpl
    def stop(self) -> None:
        """Release what is kept for a run."""
        self._logs.stop()
        self._watches = None
        if self._context is not None:
            self._context.call_limit.clear()
            self._stop_measuring()

    @hookimpl
    def status_changed(self, change: StatusChange) -> None:
        """Raise E_CORE_SR_STATUS_CHANGED."""
        params = attrs.asdict(change, filter=lambda _, value: value is not None)
        self._raise("E_CORE_SR_STATUS_CHANGED", params)

    @hookimpl
    def connection_closed(self, peer: tuple[str, int], local: tuple[str, int], protocol: str) -> None:
        """Raise E_CORE_TCP_DISCONNECT."""
        params = {"src_ip": peer[0], "src_port": peer[1], "dst_ip": local[0], "dst_port": local[1], "proto": protocol}
        self._raise("E_CORE_TCP_DISCONNECT", params)

    def report_slow(self, source: str, seconds: float, extra: str = "") -> None:
        """Raise E_CORE_THRESHOLD for an operation that the caller has measured, such as a query; from any thread.

        Args:
            source: what kind of operation it was.
            seconds: how long it took; the limit is up to the caller.
            extra: what it was about.
        """
        self._slow.report(source, seconds, extra)

    def check_memory(self) -> None:
        """Measure the memory, and raise the events that are due."""
        health = self._registry().group("core-events")
        try:
            self._raise_usage(self._shm, "E_CORE_SHM_THRESHOLD", self._memory.used)
            self._raise_usage(self._pkg, "E_CORE_PKG_THRESHOLD", self._memory.used_by_process, pid=os.getpid())
        except (OSError, ValueError, psutil.Error) as error:
            health.set_status(-1, f"the memory cannot be read: {error}")
        else:
            health.set_status(1, "running")

    def _raise_usage(self, level: Level, name: str, read: Callable[[], Usage], **more: int) -> None:
        if level.threshold:
            usage = read()
            percent = level.update(usage.used, usage.size)
            if percent is not None:
                params = {"usage": percent, "threshold": level.threshold, "used": usage.used, "size": usage.size}
                self._raise(name, {**params, **more})

    def check_workers(self) -> None:
        """Measure the load of the workers for one cycle, and add or remove at most one of each group."""
        if self._profile is None or self._context is None:
            return
        for group in self._context.plugins.worker_groups():
            scaler = self._scalers.setdefault((group.kind, group.filter), Scaler(self._profile))
            load = group.load_percent()
            step = scaler.cycle(load, group.size, group.bounds)
            if step is not None:
                self._scale(group, load, step)

    def _scale(self, group: WorkerGroup, load: int, step: Step) -> None:
        number = group.grow() if step == "up" else group.shrink()
        params = {"group_type": group.kind, "group_filter": group.filter, "group_load": load, "scale": step}
        self._raise("E_CORE_PROC_AUTO_SCALE", {**params, "process_id": number, "pid": os.getpid()})
        name = group.kind if group.filter == "none" else f"{group.kind}/{group.filter}"
        reports = self._registry().group("auto-scaling")
        reports.add(name, details="active", reports=_REPORTS)
        reports.report(f"worker {number} {'added' if step == 'up' else 'stopped'} at a load of {load} %", name)
