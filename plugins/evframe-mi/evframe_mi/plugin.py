"""The plugin: the commands that every client expects, and the dispatcher that answers requests with them."""

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
"""The name of the plugin."""


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
        """Keep the context for the commands."""
        self._loaded = context

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands of the Events Interface, of the process, and of statistics."""
        of_statistics = statistics_commands(self._context, self.load)
        for command in (*core_commands(self._context), *evi_commands(self._context), *of_statistics):
            commands.add(command)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher of requests under the policy of all clients."""
        context = self._context()
        return Dispatcher(context.commands, context.policies)

    @hookimpl
    def start(self) -> None:
        """Start to measure the load of the process."""
        self.load.start()

    @hookimpl
    def stop(self) -> None:
        """Stop the measurement."""
        self.load.stop()


def dispatcher_of(context: PluginContext) -> Dispatcher:
    """Return the dispatcher for the requests of the management interface of *context*.

    The table of the management interface may narrow the policy.

    Raises:
        ConfigError: if the plugin ``mi`` is disabled or not loaded.
    """
    management = context.plugins.get_plugin(NAME)
    if not isinstance(management, Management):
        raise ConfigError([f"expected the plugin {NAME!r}, which is not loaded"])
    return management.dispatcher.of(context.name)
