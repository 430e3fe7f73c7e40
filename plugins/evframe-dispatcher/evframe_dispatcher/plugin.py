"""The plugin: the probes of the destinations, the file of their states, and the hooks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from evframe_probing import Prober, Probing

from evframe import hookimpl
from evframe.plugin import CommandTable, EventCollector, PluginContext, in_thread
from evframe_dispatcher.commands import dispatcher_commands
from evframe_dispatcher.destinations import Name, Sets
from evframe_dispatcher.events import Reporter, StatusChanged
from evframe_dispatcher.initial_events import InitialEvents
from evframe_dispatcher.options import Options as DispatcherOptions
from evframe_dispatcher.selector import Selector
from evframe_dispatcher.state_file import StateFile

log = logging.getLogger("evframe.dispatcher")
_WRITE_S: Final = 30.0


class Dispatcher(Selector):
    """The plugin object; what selects and marks destinations may be called from any thread.

    Args:
        options: the table ``[plugins.dispatcher]``.
        sleep: waits so many seconds.

    Raises:
        ConfigError: if the file of destinations is not as it should be.
    """

    Options = DispatcherOptions

    def __init__(
        self, options: DispatcherOptions | None = None, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        super().__init__(DispatcherOptions() if options is None else options)
        self._sleep = sleep
        self._probing: Probing[Name] | None = None
        self._initial_events: InitialEvents | None = None
        self._state_file = StateFile.at(self._options.state_path)
        self._changes_written = 0
        for name, state in (self._state_file.read() if self._state_file else {}).items():
            found = self._sets.find(name)
            if found is not None:
                found.health.state = state

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the event."""
        collector.add(StatusChanged)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands."""
        for command in dispatcher_commands(self):
            commands.add(command)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Report the destinations that exist."""
        self._reporter = Reporter(context)
        self._reporter.available(self._sets)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to probe, and to write the states."""
        self._probing = Probing(self._due, self._probe, context.spawn, resolver=context.resolver, sleep=self._sleep)
        self._probing.follow(self._options.probing)
        assert self._reporter is not None
        self._initial_events = InitialEvents(
            lambda: self._sets, self._reporter.raise_status, context.spawn, self._sleep
        )
        self._initial_events.follow(is_wanted=self._options.initial_events)
        context.spawn(self._write_periodically())

    @hookimpl
    def reconfigure(self, options: DispatcherOptions) -> Callable[[], None]:
        """Take other options and destinations; those that were there before keep their states.

        Raises:
            ConfigError: with every problem of the file of destinations.
            OSError: if the certificates of the authorities cannot be read.
        """
        with self._mutex:
            sets = self._loaded(options, None, inherit_state=True)
            probing_back = None if self._probing is None else self._probing.follow(options.probing)
            before = self._options, self._sets, self._state_file
            is_same = options.state_path == self._options.state_path
            self._adopt(options, sets, self._state_file if is_same else StateFile.at(options.state_path))

        def take_back() -> None:
            if probing_back is not None:
                probing_back()
            self._adopt(*before)

        return take_back

    def _adopt(self, options: DispatcherOptions, sets: Sets, state_file: StateFile | None) -> None:
        with self._mutex:
            old, self._sets = self._sets, sets
            self._options, self._state_file = options, state_file
            self._changes += 1
            if self._reporter is not None:
                self._reporter.available(sets, old.partitions)
            if self._initial_events is not None:
                self._initial_events.follow(is_wanted=options.initial_events)

    @hookimpl
    def stop(self) -> Awaitable[None]:
        """Write the states that have changed."""
        return self._write_states()

    def _due(self) -> list[Name]:
        sets = self._options.probed_sets
        return [each.name for each in self._sets if each.health.probed and (sets is None or each.set_id in sets)]

    async def _probe(self, prober: Prober, name: Name) -> None:
        destination = self._sets.find(name)
        if destination is None or not destination.health.probed:
            return
        reply = await prober.probe(destination.target)
        log.debug("a destination was probed", extra={"uri": destination.uri, "code": reply.code})
        self.take_reply(destination, reply)

    async def _write_periodically(self) -> None:
        while True:
            await self._sleep(_WRITE_S)
            await self._write_states()

    async def _write_states(self) -> None:
        """Write the states if they have changed; on an error of the disk the next call tries again."""
        changes = self._changes
        if self._state_file is None or changes == self._changes_written:
            return
        try:
            await in_thread(self._state_file.write, list(self._sets))
        except OSError as error:
            log.warning("the states of destinations were not written", extra={"problem": str(error)})
        else:
            self._changes_written = changes
