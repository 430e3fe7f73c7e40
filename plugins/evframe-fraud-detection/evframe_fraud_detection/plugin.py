"""The plugin: the events, the options and the commands of the detector."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from evframe import hookimpl
from evframe.plugin import CommandTable, EventCollector, PluginContext
from evframe_fraud_detection.commands import fraud_commands
from evframe_fraud_detection.detector import GROUP, NO_DATA, Detector, load_rules
from evframe_fraud_detection.events import CriticalLimitReached, WarningLimitReached
from evframe_fraud_detection.options import Options as FraudOptions

_REPORTS: Final = 20
_SLICE: Final = 1000
_SWEEP_S: Final = 60


class FraudDetection(Detector):
    """The plugin object; `check` and `call_ended` may be called from any thread.

    Args:
        options: the table ``[plugins.fraud-detection]``.
        clock: the wall clock, in seconds since the epoch.
        monotonic: the time in seconds, which never goes back.
        sleep: waits so many seconds.

    Raises:
        ConfigError: with every problem of the rules.
    """

    Options = FraudOptions

    def __init__(
        self,
        options: FraudOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(FraudOptions() if options is None else options, clock, monotonic)
        self._sleep = sleep

    @hookimpl
    def reconfigure(self, options: FraudOptions) -> Callable[[], None]:
        """Take other options; counters stay.

        Raises:
            ConfigError: with every problem of the rules.
        """
        before, rules = self._options, self.rules
        self._adopt(options, load_rules(options))
        return lambda: self._adopt(before, rules)

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events."""
        collector.add(WarningLimitReached)
        collector.add(CriticalLimitReached)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what raises events."""
        self._context = context
        context.status.group(GROUP).add(status=NO_DATA, reports=_REPORTS)
        self._set_status()

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to forget the counters of other days."""
        context.spawn(self._forget_periodically())

    async def _forget_periodically(self) -> None:
        while True:
            await self._sleep(_SWEEP_S)
            while self.forget(_SLICE) == _SLICE:  # noqa: ASYNC110 others may run in between
                await asyncio.sleep(0)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands."""
        for command in fraud_commands(self):
            commands.add(command)
