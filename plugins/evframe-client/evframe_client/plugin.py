"""The plugin: the commands that talk to a gateway."""

from __future__ import annotations

from evframe import hookimpl
from evframe.command_line import CommandLine
from evframe_client.commands.gateway import events, mi, raise_, subscribe, subscribers, watch
from evframe_client.commands.top import top


@hookimpl
def register_cli(commands: CommandLine) -> None:
    """Add the commands."""
    for command in (events, subscribers, subscribe, raise_, mi, watch, top):
        commands.add(command)
