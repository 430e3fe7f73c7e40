"""The plugin: the commands that talk to a gateway."""

from __future__ import annotations

from evframe import hookimpl
from evframe.command_line import CommandLine
from evframe_client.commands.gateway import mi, raise_, subscribe
from evframe_client.commands.listings import events, subscribers
from evframe_client.commands.top import top
from evframe_client.commands.watch import watch


@hookimpl
def register_cli(commands: CommandLine) -> None:
    """Add the commands."""
    for command in (events, subscribers, subscribe, raise_, mi, watch, top):
        commands.add(command)
