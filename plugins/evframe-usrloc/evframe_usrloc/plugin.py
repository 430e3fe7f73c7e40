"""The plugin: the start and the end of the store, the timer, and the hooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from evframe import hookimpl
from evframe.plugin import READY, CommandTable, EventCollector, PluginContext, StatisticGroup
from evframe_usrloc.commands import usrloc_commands
from evframe_usrloc.events import EVENTS
from evframe_usrloc.location import SLICE, LocationService
from evframe_usrloc.options import Options as UsrlocOptions
from evframe_usrloc.persistence import NOT_READY, STORE, Persistence


class Usrloc(LocationService):
    """The plugin object, and the Python interface; every call belongs on the thread of the loop.

    Args:
        options: the table ``[plugins.usrloc]``.
        clock: Unix time in seconds.
    """

    kind = "source"
    Options = UsrlocOptions

    def __init__(self, options: UsrlocOptions | None = None, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(UsrlocOptions() if options is None else options, clock)

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events."""
        for event in EVENTS:
            collector.add(event)

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Count addresses and contacts by table, as the module of OpenSIPS does."""
        expired = {f"{table.name}-expires": table.expired for table in self.tables}
        gauges = {"registered_users": sum(table.users for table in self.tables)}
        for table in self.tables:
            gauges |= {f"{table.name}-users": table.users, f"{table.name}-contacts": table.contacts}
        return [StatisticGroup("usrloc", expired, gauges)]

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands."""
        for command in usrloc_commands(self):
            commands.add(command)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what raises events."""
        self._announcer.context = context

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Open the store, begin to read it, and to watch the clock."""
        status = context.status.group("usrloc")
        status.add(status=NOT_READY)
        status.set_status(NOT_READY, "startup data loading")
        self._ready = asyncio.Event()
        if self._journal is not None:
            status.add(STORE, details="changes are written")
            persistence = Persistence(
                self.options.db_path, self.options.timer_interval_s, self._registry, self._journal, status, self.now
            )
            persistence.open()
            self._persistence = persistence
        context.spawn(self._serve(context))
        context.spawn(self._keep_time())

    async def _serve(self, context: PluginContext) -> None:
        persistence = self._persistence
        if persistence is None or await persistence.load(silently=self.options.load_silently):
            context.status.group("usrloc").set_status(READY, "data available")
        self._ready.set()
        if persistence is not None:
            await persistence.run()

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(1 - self.now() % 1)  # leases end at whole seconds
            while self._registry.expire(self.now(), SLICE):  # noqa: ASYNC110 it waits for nothing
                await asyncio.sleep(0)  # others have their turn

    @hookimpl
    def stop(self) -> Awaitable[None] | None:
        """Write what is left."""
        persistence, self._persistence = self._persistence, None
        self._ready.clear()
        return None if persistence is None else persistence.close()
