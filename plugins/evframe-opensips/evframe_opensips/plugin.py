"""The plugin: the events of live instances of OpenSIPS, declared and raised here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandError, CommandTable, EventCollector, PluginContext, text_param
from evframe_opensips.catalogue import Choice
from evframe_opensips.instance import GROUP, Instance
from evframe_opensips.options import InstanceOptions
from evframe_opensips.options import Options as BridgeOptions
from evframe_opensips.origins import COMMAND, Origins

_WITH_A_RESTART: Final = ("receive_buffer_bytes", "max_message_bytes", "unix_socket_mode")
_INSTANCE: Final = Parameter(str, optional=True, summary="The instance that the event comes from.")


class OpensipsBridge:
    """The plugin object.

    Args:
        options: the table ``[plugins.opensips]``.
        clock: the monotonic clock, in seconds.
    """

    kind = "source"
    Options = BridgeOptions
    _context: PluginContext

    def __init__(self, options: BridgeOptions | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = BridgeOptions() if options is None else options
        self._clock = clock
        self._choice = Choice(self._options.modules, self._options.events)
        self._origins = Origins()
        self._instances: dict[str, Instance] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare what is chosen; nothing when nothing is, and there is no instance either."""
        if not self._choice.is_made and not self._options.instances:
            return
        name = self._options.instance_param
        own = {name: _INSTANCE} if name else {}
        for event in self._choice.known():
            # What comes from elsewhere is described; it is not lost when it is another version's.
            collector.add(event.name, {**event.params, **own}, summary=event.summary, enforced=False)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands about instances."""
        recipes = ((), ("instance",))
        commands.add(Command("opensips:instances", recipes, self._instances_command, "lists the bridged instances"))
        commands.add(
            Command("opensips:resubscribe", recipes, self._resubscribe_command, "subscribes at an instance again")
        )
        commands.add(Command(COMMAND, ((),), self._origins_command, "lists the bridges whose events are raised here"))

    def _instances_command(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"Instances": [instance.describe() for instance in self._named(params)]}

    def _resubscribe_command(self, params: Mapping[str, Any]) -> str:
        for instance in self._named(params):
            instance.resubscribe()
        return "OK"

    def _origins_command(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"Origins": self._origins.ids()}

    def _named(self, params: Mapping[str, Any]) -> list[Instance]:
        if "instance" not in params:
            return list(self._instances.values())
        found = self._instances.get(text_param(params, "instance"))
        if found is None:
            raise CommandError(404, "Instance does not exist")
        return [found]

    @property
    def instances(self) -> Mapping[str, Instance]:
        """The instances by name, while the interface is entered."""
        return self._instances

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what raises events."""
        self._context = context

    @hookimpl
    def start(self) -> None:
        """Bind where events arrive, so that an address in use is an error of the start; then attach."""
        self._run(self._bind(self._options.instances, self._options, self._choice))

    @hookimpl
    def reconfigure(self, options: BridgeOptions) -> None:
        """Take other instances, and another choice of events; what can stay attached does.

        Raises:
            ValueError: if an option has changed that changes with a restart.
            OSError: if the events of an instance cannot arrive where they should.
        """
        for name in _WITH_A_RESTART:
            if getattr(options, name) != getattr(self._options, name):
                raise ValueError(
                    f"{name}: expected {getattr(self._options, name)!r} as before, it changes with a restart"
                )
        stay = {
            each.name: each
            for each in options.instances
            if each.name in self._instances and self._instances[each.name].keeps_endpoint(each, options)
        }
        choice = Choice(options.modules, options.events)
        new = self._bind([each for each in options.instances if each.name not in stay], options, choice)
        for name in self._instances.keys() - stay.keys():
            self._instances.pop(name).abandon()
            self._tasks.pop(name).cancel()  # which leaves it
            if name not in new:
                self._context.status.group(GROUP).remove(name)
        self._options, self._choice = options, choice
        for name, own in stay.items():
            self._instances[name].adopt(own, options, choice)
        self._run(new)

    def _bind(
        self, instances: Iterable[InstanceOptions], settings: BridgeOptions, choice: Choice
    ) -> dict[str, Instance]:
        bound: dict[str, Instance] = {}
        try:
            for each in instances:
                bound[each.name] = Instance(each, settings, choice, self._origins, self._context, self._clock)
        except OSError:
            for name, instance in bound.items():
                instance.close()
                if name not in self._instances:
                    self._context.status.group(GROUP).remove(name)
            raise
        return bound

    def _run(self, instances: Mapping[str, Instance]) -> None:
        for name, instance in instances.items():
            self._instances[name] = instance
            task = self._tasks[name] = self._context.spawn(instance.run())
            task.add_done_callback(partial(_close, instance))  # of one that is cancelled before it began, too

    @hookimpl
    def stop(self) -> Awaitable[None]:
        """Wait until every instance is left, which began when the tasks were cancelled."""
        return self._end()

    async def _end(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        for name in self._instances:
            self._context.status.group(GROUP).remove(name)
        self._tasks.clear()
        self._instances.clear()


def _close(instance: Instance, _: asyncio.Task[None]) -> None:
    instance.close()
