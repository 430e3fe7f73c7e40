"""The plugin: the commands that every client expects, and what answers requests by them."""

from __future__ import annotations

from functools import cached_property

from evframe import ConfigError, hookimpl
from evframe.plugin import CommandTable, PluginContext
from evframe_mi.core import core_commands
from evframe_mi.dispatcher import Dispatcher
from evframe_mi.evi import evi_commands
from evframe_mi.load import Load
from evframe_mi.statistics import statistics_commands

NAME = "mi"
"""What the plugin is called."""


class Management:
    """The plugin object, one for all management interfaces, whose clients take turns."""

    kind = "extension"

    def __init__(self) -> None:
        self._loaded: PluginContext | None = None
        self.load = Load()
        """The load of the process, while the interface is entered."""

    def _context(self) -> PluginContext:
        assert self._loaded is not None
        return self._loaded

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what the commands work with."""
        self._loaded = context

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands of the Events Interface, of the process, and of statistics."""
        of_statistics = statistics_commands(self._context, self.load)
        for command in (*core_commands(self._context), *evi_commands(self._context), *of_statistics):
            commands.add(command)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """What answers requests as the policy of all clients permits."""
        context = self._context()
        return Dispatcher(context.commands, context.policies)

    @hookimpl
    def start(self) -> None:
        """Measure the load of the process."""
        self.load.start()

    @hookimpl
    def stop(self) -> None:
        """Measure no more."""
        self.load.stop()


def dispatcher_of(context: PluginContext) -> Dispatcher:
    """Return what answers the requests that come by the management interface of *context*.

    Its own table may narrow the policy.

    Raises:
        ConfigError: if the plugin ``mi`` is disabled, or is no part of the interface.
    """
    management = context.plugin(NAME)
    if not isinstance(management, Management):
        raise ConfigError([f"expected the plugin {NAME!r}, which is not loaded"])
    return management.dispatcher.of(context.name)
