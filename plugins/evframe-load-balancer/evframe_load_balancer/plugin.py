"""The plugin: the probes of the destinations, and the hooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from evframe_probing import Prober, Probing

from evframe import hookimpl
from evframe.plugin import MAIN, CommandTable, EventCollector, PluginContext
from evframe_load_balancer.balancer import GROUP, Balancer
from evframe_load_balancer.commands import load_balancer_commands
from evframe_load_balancer.destinations import Destination
from evframe_load_balancer.events import StatusChanged
from evframe_load_balancer.options import Options as LoadBalancerOptions

_REPORTS: Final = 200


class LoadBalancer(Balancer):
    """The plugin object; what concerns sessions and states may be called from any thread.

    Args:
        options: the table ``[plugins.load-balancer]``.
        clock: monotonic, in seconds.
        sleep: waits so many seconds of that clock.

    Raises:
        ConfigError: if the file of destinations is not as it should be.
    """

    Options = LoadBalancerOptions

    def __init__(
        self,
        options: LoadBalancerOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(LoadBalancerOptions() if options is None else options, clock)
        self._sleep = sleep
        self._probing: Probing[int] | None = None

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the event."""
        collector.add(StatusChanged)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands."""
        for command in load_balancer_commands(self):
            commands.add(command)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Report the destinations that exist."""
        self._context = context
        context.status.group(GROUP).add(MAIN, *self._data, reports=_REPORTS)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to probe."""
        self._probing = Probing(self._due, self._probe, context.spawn, resolver=context.resolver, sleep=self._sleep)
        self._probing.follow(self._options.probing)

    @hookimpl
    def reconfigure(self, options: LoadBalancerOptions) -> Callable[[], None]:
        """Take other options; sessions and states stay, and capacities unless the destinations are others.

        Raises:
            ConfigError: with every problem of the file of destinations.
            OSError: if the certificates of the authorities cannot be read.
        """
        with self._mutex:
            by_id = self._by_id if _listed(options) == _listed(self._options) else self._loaded(options)
            probing_back = None if self._probing is None else self._probing.follow(options.probing)
            before = self._options, self._by_id
            self._adopt(options, by_id)

        def take_back() -> None:
            if probing_back is not None:
                probing_back()
            self._adopt(*before)

        return take_back

    def _adopt(self, options: LoadBalancerOptions, by_id: dict[int, Destination]) -> None:
        with self._mutex:
            self._options, self._by_id = options, by_id
            self._set_status(*self._data)

    def _due(self) -> list[int]:
        return [each.id for each in self._by_id.values() if each.probed]

    async def _probe(self, prober: Prober, destination_id: int) -> None:
        destination = self.find(destination_id)
        if destination is None or not destination.probed:
            return
        self.take_reply(destination, await prober.probe(destination.target))


def _listed(options: LoadBalancerOptions) -> tuple[Any, ...]:
    """Return the options that define the destinations."""
    return options.destinations, options.file, options.contents
