"""The group of commands: those of the core, and those that other distributions contribute."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click
import pluggy
from evframe_wire.visible import visible_lines

from evframe.calls import foreign_call
from evframe.command_line import CommandLine, say
from evframe.config.hints import how_to_install, published
from evframe.exceptions import PluginError
from evframe.plugins import hookspecs

GROUP: Final = "evframe.cli"
"""The entry points whose modules have the hook `register_cli`."""


class Commands(click.Group):
    """The commands of the core, and of the entry points in the group `evframe.cli`.

    Those are loaded when the line has none of the core's commands, so that the gateway starts without them.
    What a command prints, and its errors, cannot move the cursor.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was chosen."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = visible_lines(error.message)  # type: ignore[misc]  # it is final for other classes
            raise

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name.

        Raises:
            click.UsageError: with the package to install, for a command of one that is not.
        """
        found = super().get_command(ctx, cmd_name) or self._contributed.get(cmd_name)
        if found is None and not ctx.resilient_parsing:
            plugin = published().commands.get(cmd_name)
            if plugin is not None:
                ctx.fail(f"no command {cmd_name!r}, {how_to_install(plugin)}")
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *self._contributed})

    @cached_property
    def _contributed(self) -> dict[str, click.Command]:
        """The commands of other distributions; one that cannot be loaded is a line on standard error."""
        found: dict[str, click.Command] = {}
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
            line = CommandLine({*self.commands, *found})
            try:
                with foreign_call(f"entry point {entry.name!r} of {GROUP}"):
                    contribute(entry, line)
            except Exception as error:  # noqa: BLE001 another distribution may not take the command line away
                reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
                say(f"the commands of evframe-{entry.name} are left out: {reason}", err=True)
            else:
                found |= line.commands
        return found


def contribute(entry: EntryPoint, line: CommandLine) -> None:
    """Have the module or object that *entry* names add its commands to *line*."""
    manager = pluggy.PluginManager("evframe")
    manager.add_hookspecs(hookspecs)
    manager.register(entry.load(), entry.name)
    manager.hook.register_cli(commands=line)
